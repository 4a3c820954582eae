import { PluginHostError } from "./errors.js";
import { HostLink } from "./host-link.js";
import type { ConnectionInfo } from "./http/exchange.js";
import type { Clock } from "./internal/clock.js";
import { deferred } from "./internal/deferred.js";
import { randomHex } from "./internal/ids.js";
import type { WorkerLink } from "./launch/worker-launcher.js";
import { type CloseCode, closeCode, resetCode } from "./link/frame.js";
import { heldLinkLimits, type LinkLimits } from "./link/link-limits.js";
import { LinkSession } from "./link/link-session.js";
import type { LinkStream, LinkStreamHandler } from "./link/link-stream.js";
import type { LinkTransport } from "./link/link-transport.js";

/** What becomes of these links once they are a plugin's. */
export interface LaunchedLinksParts {
  readonly clock: Clock;
  readonly limits: LinkLimits;
  readonly onError: (error: unknown) => void;
  /** A call of the plugin. */
  readonly take: (stream: LinkStream, link: HostLink) => LinkStreamHandler;
  /** The link is a plugin's from now on. */
  readonly joined: (link: HostLink) => void;
  /** The plugin takes no new calls. */
  readonly leaving: (link: HostLink) => void;
  readonly closed: (link: HostLink) => void;
}

const refused: LinkStreamHandler = { onData() {}, onEnd() {}, onReset() {} };

// The link says who calls; the connection does not leave the process.
const ofLaunch: ConnectionInfo = Object.freeze({
  transport: "memory",
  remoteAddress: "",
  encrypted: false,
  principal: undefined,
});

// What a thread whose code breaks the rules of the link ends it with.
const faults: ReadonlySet<CloseCode> = new Set([
  closeCode.protocol,
  closeCode.flowControl,
  closeCode.limit,
  closeCode.version,
]);

/** Links of plugins that the host has launched and that have no other way to it. Nobody else is at their other end. */
export class LaunchedLinks {
  readonly #parts: LaunchedLinksParts;
  /** Those whose plugin has no identity yet. */
  readonly #waiting = new Map<string, LinkSession>();

  constructor(parts: LaunchedLinksParts) {
    this.#parts = parts;
  }

  /** The link of a launch whose plugin has no identity yet. @throws PluginHostError `PLUGIN_UNREACHABLE` */
  sessionOf(launchId: string): LinkSession {
    const session = this.#waiting.get(launchId);
    if (session !== undefined) return session;
    throw new PluginHostError("PLUGIN_UNREACHABLE", "the link of the plugin's launch has ended");
  }

  /** Begins to greet the other side. */
  open(transport: LinkTransport): WorkerLink {
    const launchId = `launch-${randomHex(8)}`;
    const { clock, limits, onError, take, joined, leaving, closed } = this.#parts;
    const [opened, ended] = [deferred(), deferred<string | undefined>()];
    let link: HostLink | undefined;
    const session = new LinkSession(transport, {
      role: "acceptor",
      clock,
      limits: { ...limits, ...heldLinkLimits },
      onCall: (stream) => {
        if (link !== undefined) return take(stream, link);
        stream.reset(resetCode.refused, "the plugin has no identity yet");
        return refused;
      },
      onReady: opened.resolve,
      onGoAway: () => link && leaving(link),
      onClose: ({ code, message }) => {
        this.#waiting.delete(launchId);
        if (link !== undefined) closed(link);
        opened.reject(new PluginHostError("PLUGIN_UNREACHABLE", message));
        ended.resolve(faults.has(code) ? message : undefined);
      },
      onError,
    });
    // Whoever launches hears of its end in other ways, too.
    opened.promise.catch(() => {});
    this.#waiting.set(launchId, session);
    return {
      launchId,
      opened: opened.promise,
      ended: ended.promise,
      belongsTo: ({ runtimeId, selfId }) => {
        if (session.state === "closed") return;
        this.#waiting.delete(launchId);
        link = new HostLink({ kind: "plugin", runtimeId, selfId }, ofLaunch, "host.invalid", limits);
        link.session = session;
        joined(link);
      },
      close: () => transport.destroy(),
    };
  }
}
