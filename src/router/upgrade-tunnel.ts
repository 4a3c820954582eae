import { Agent, type ClientRequest, type IncomingMessage, type InformationEvent } from "node:http";
import type { Duplex } from "node:stream";
import type { ProxyServer } from "http-proxy-3";
import { toFieldList } from "../http/field-list.js";
import { deferred } from "../internal/deferred.js";
import type { Tunnel } from "./tunnel.js";
import { UpgradeAnswer } from "./upgrade-answer.js";
import { switchingFields } from "./upgrade-head.js";
import { SilenceLimit } from "./upgrade-silence.js";

/** What the library needs to be told that it reads from a request. What goes out is the tunnel's own path and fields. */
const shim = { method: "GET", url: "/", httpVersion: "1.1", httpVersionMajor: 1 };

/**
 * Sends the request over the provider's connection and joins both connections, or passes on an answer that refuses.
 * Resolves when the caller's connection is closed, or has got the answer; the provider's is closed then, too.
 */
export async function runTunnel(tunnel: Tunnel): Promise<void> {
  const { context, socket, peer, account } = tunnel;
  // 80 ms of import that most hosts never need.
  const { createProxyServer } = await import("http-proxy-3");
  const over = deferred();
  socket.on("close", () => over.resolve());
  if (socket.destroyed) over.resolve();
  const agent = new Agent({ keepAlive: false });
  agent.createConnection = (() => peer) as never;
  const proxy = createProxyServer({ target: { protocol: "http:", host: "localhost", port: 80 } as never, agent });
  const silence = new SilenceLimit(tunnel);
  const answer = new UpgradeAnswer(tunnel, over.resolve);
  const { headersTimeoutMs, viaName } = context.options;
  const wait = context.clock.after(headersTimeoutMs, () => {
    tunnel.failed(`did not answer within ${headersTimeoutMs} ms`, 504);
    peer.destroy();
  });
  // Not with the answer: listeners that come before the library's own would take its first bytes away.
  proxy.on("open", (joined: Duplex) => silence.watch(joined));
  // Those of either connection, which are told by its end; the library throws them if nobody listens.
  proxy.on("error", () => {});
  // Heads are written as text, by the library and by node:http, and have to keep their bytes.
  socket.setDefaultEncoding("latin1");
  try {
    const outgoing = send(proxy, tunnel, (switched, joined) => {
      account.status = 101;
      wait.cancel();
      tunnel.answered();
      answer.giveWay();
      // The library writes these.
      switched.headers = switchingFields(switched.rawHeaders, viaName);
      // The library ends both gently; a peer that never answers the end would keep its socket for ever.
      socket.on("close", () => joined.destroy());
      joined.on("close", () => socket.end());
      joined.on("error", () => socket.destroy());
    });
    socket.on("close", () => outgoing.destroy());
    outgoing.on("information", ({ statusCode, rawHeaders }: InformationEvent) =>
      answer.informational(statusCode, toFieldList(rawHeaders)),
    );
    // What refuses is an answer like any other, and not for the library to write.
    outgoing.removeAllListeners("response").on("response", (refusal: IncomingMessage) => {
      wait.cancel();
      answer.refuse(refusal);
    });
    // The library would close the caller's connection before it has the host's own answer.
    outgoing.removeAllListeners("error").on("error", (error: Error) => {
      if (socket.destroyed || account.status !== 0) return;
      tunnel.failed(`broke the connection before it answered: ${error.message}`, 502);
    });
    await over.promise;
  } finally {
    wait.cancel();
    silence.stop();
    agent.destroy();
    peer.destroy();
  }
}

type OnSwitched = (answer: IncomingMessage, joined: Duplex) => void;

/** Hands the request to the library. `onSwitched` is called before the library itself joins both connections. */
function send(proxy: ProxyServer, { path, fields, socket, early }: Tunnel, onSwitched: OnSwitched): ClientRequest {
  let outgoing = undefined as ClientRequest | undefined;
  proxy.on("proxyReqWs", (made: ClientRequest) => {
    outgoing = made;
    // The library would put the path through a URL parser; it goes byte for byte.
    made.path = path;
    made.on("upgrade", onSwitched);
  });
  // The library takes WebSocket only by the request's own field; what goes out is the caller's.
  const request = { ...shim, headers: { ...fields, upgrade: "websocket" } };
  proxy.ws(request as never, socket as never, early, { headers: fields } as never);
  if (outgoing === undefined) throw new Error("http-proxy-3 has made no request");
  return outgoing;
}
