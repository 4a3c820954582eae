import { PluginHostError } from "../errors.js";
import type { PluginRemote } from "../lifecycle/plugin-remote.js";
import { callKind } from "../link/frame.js";
import { LinkCallTransport, noConnection } from "../link/link-call-transport.js";
import type { LinkSession } from "../link/link-session.js";
import { isHealthPath } from "./health-path.js";
import { type Ask, type Clients, clientsOver, explain, pluginCalls, type RemoteOptions } from "./plugin-calls.js";

const where = "the other end of its link";

/** Speaks to a plugin over its link, as the host does with others over connections that it dials. */
export function openLinkRemote(session: LinkSession, options: RemoteOptions): PluginRemote {
  const clients = linkClients(session);
  const ask: Ask = async (what, _signal, call) => {
    try {
      return await call(clients);
    } catch (error) {
      return explain(error, what, where);
    }
  };
  return {
    ...pluginCalls(ask, options),
    // Keep-alive sees to it that an open link has somebody at its end.
    connect: () => (session.state === "open" ? Promise.resolve() : Promise.reject(broken("a connection"))),
    getStatus: (path, signal) => getStatus(session, path, signal),
    close: () => {},
  };
}

/** One client for each service, since paths on a plugin begin with the service. */
function linkClients(session: LinkSession): Clients {
  const over = (basePath: string) =>
    clientsOver(
      new LinkCallTransport({ route: () => ({ session, basePath }), connection: noConnection, interceptors: [] }),
    );
  return {
    identity: over("/connectplugin.v1.PluginIdentity").identity,
    control: over("/connectplugin.v1.PluginControl").control,
    handshakes: over("/connectplugin.v1.HandshakeService").handshakes,
  };
}

function getStatus(session: LinkSession, path: string, signal: AbortSignal): Promise<number> {
  if (!isHealthPath(path)) {
    const message = 'the metadata health_path must begin with "/" and be escaped';
    return Promise.reject(new PluginHostError("PLUGIN_PROTOCOL", message, { field: "metadata.health_path" }));
  }
  return new Promise((resolve, reject) => {
    const fields = [":method", "GET", ":authority", "localhost"];
    const stream = session.open(
      { kind: callKind.http, path, deadlineMs: 0, fields },
      {
        pieces: true,
        onHead([, status = ""], informational) {
          if (informational) return;
          resolve(Number(status));
          // What it says beside the status is of no interest, however long it is.
          stream.reset(0);
        },
        onData: () => stream.consume(),
        onEnd: () => reject(broken(`GET ${path}`)),
        onReset: (_code, message) => reject(broken(`GET ${path}`, message)),
      },
    );
    stream.end();
    signal.addEventListener("abort", () => stream.reset(0), { once: true });
  });
}

const broken = (what: string, why = "there is no answer"): PluginHostError =>
  new PluginHostError("PLUGIN_UNREACHABLE", `${what} at ${where} failed: ${why}`);
