import { Agent, type ClientRequest, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Timer } from "../internal/clock.js";
import { deferred } from "../internal/deferred.js";
import type { CallAccount } from "./call-account.js";
import type { ForwardContext } from "./forward-context.js";

/** One request to upgrade that goes on over a connection that stands. */
export interface Tunnel {
  readonly context: ForwardContext;
  readonly account: CallAccount;
  /** The caller's connection. */
  readonly socket: Duplex;
  /** What the caller sent behind the head. */
  readonly early: Buffer;
  /** The provider's connection. */
  readonly peer: Duplex;
  readonly path: string;
  readonly fields: Readonly<Record<string, string | string[]>>;
  /** The provider answered with a head. */
  readonly answered: () => void;
  /** The provider broke the connection, or did not answer in time, before it answered. The caller's is open still. */
  readonly failed: (message: string) => void;
}

/** What the library needs to be told that it reads from a request. What goes out is the tunnel's own path and fields. */
const shim = { method: "GET", url: "/", httpVersion: "1.1", httpVersionMajor: 1 };

/**
 * Sends the request over the provider's connection and joins both connections, or passes on an answer that refuses.
 * Resolves when the caller's connection is closed; the provider's is then, too.
 */
export async function runTunnel(tunnel: Tunnel): Promise<void> {
  const { context, socket, peer, account, fields } = tunnel;
  // 80 ms of import that most hosts never need.
  const { createProxyServer } = await import("http-proxy-3");
  const closed = deferred();
  socket.on("close", () => closed.resolve());
  if (socket.destroyed) closed.resolve();
  const agent = new Agent({ keepAlive: false });
  agent.createConnection = (() => peer) as never;
  const proxy = createProxyServer({ target: { protocol: "http:", host: "localhost", port: 80 } as never, agent });
  const silence = new SilenceLimit(tunnel);
  const wait = context.clock.after(context.options.headersTimeoutMs, () =>
    peer.destroy(new Error("no answer in time")),
  );
  proxy.on("proxyReqWs", (outgoing: ClientRequest) => {
    // The library would put the path through a URL parser; it goes byte for byte.
    outgoing.path = tunnel.path;
    socket.on("close", () => outgoing.destroy());
    outgoing.on("upgrade", (_answer, joined: Duplex) => {
      account.status = 101;
      wait.cancel();
      tunnel.answered();
      // The library ends both gently; a peer that never answers the end would keep its socket for ever.
      socket.on("close", () => joined.destroy());
      joined.on("close", () => socket.end());
      joined.on("error", () => socket.destroy());
    });
    outgoing.on("response", (answer: IncomingMessage) => {
      account.status = answer.statusCode ?? 0;
      wait.cancel();
      tunnel.answered();
      // Cut off, and not ended, if the refusal itself breaks.
      answer.on("error", () => socket.destroy());
      answer.on("data", (chunk: Buffer) => {
        account.responseBytes += chunk.length;
        // The library writes on and on.
        if (!socket.writableNeedDrain) return;
        answer.pause();
        socket.once("drain", () => answer.resume());
      });
    });
  });
  // Not with the answer: listeners that come before the library's own would take its first bytes away.
  proxy.on("open", (joined: Duplex) => silence.watch(joined));
  proxy.on("error", (error: Error) => {
    if (!socket.destroyed && account.status === 0) tunnel.failed(error.message);
  });
  try {
    // The library takes WebSocket only by the request's own field; what goes out is the caller's.
    const request = { ...shim, headers: { ...fields, upgrade: "websocket" } };
    proxy.ws(request as never, socket as never, tunnel.early, { headers: fields } as never);
    await closed.promise;
  } finally {
    wait.cancel();
    silence.stop();
    agent.destroy();
    peer.destroy();
  }
}

/**
 * Counts the bytes of both directions, and cuts both connections off when none has moved for too long: for as long as
 * the option `idleStreamMs` says while both are open, for `headersTimeoutMs` once one side has ended its direction.
 */
class SilenceLimit {
  readonly #tunnel: Tunnel;
  #peer: Duplex | undefined;
  #movedAt = 0;
  #isHalfOpen = false;
  #timer: Timer | undefined;

  constructor(tunnel: Tunnel) {
    this.#tunnel = tunnel;
  }

  watch(peer: Duplex): void {
    const { socket, account, context } = this.#tunnel;
    this.#peer = peer;
    this.#movedAt = context.clock.monotonic();
    const halfOpen = (): void => {
      this.#isHalfOpen = true;
      this.#movedAt = context.clock.monotonic();
      this.#timer?.cancel();
      this.#arm();
    };
    socket.on("data", (chunk: Buffer) => {
      account.requestBytes += chunk.length;
      this.#movedAt = context.clock.monotonic();
    });
    peer.on("data", (chunk: Buffer) => {
      account.responseBytes += chunk.length;
      this.#movedAt = context.clock.monotonic();
    });
    socket.on("end", halfOpen);
    peer.on("end", halfOpen);
    this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#peer = undefined;
  }

  #arm(): void {
    const { context } = this.#tunnel;
    const { idleStreamMs, headersTimeoutMs } = context.options;
    const limitMs = this.#isHalfOpen ? Math.min(headersTimeoutMs, idleStreamMs) : idleStreamMs;
    if (limitMs === Number.POSITIVE_INFINITY || this.#peer === undefined) return;
    const leftMs = this.#movedAt + limitMs - context.clock.monotonic();
    // A timer may fire a fraction of a millisecond before its time.
    if (leftMs > 0.5) {
      this.#timer = context.clock.after(leftMs, () => this.#arm());
      return;
    }
    const { account, socket } = this.#tunnel;
    const what = this.#isHalfOpen ? "one side had ended, and " : "";
    const reason = `${what}no byte moved for ${limitMs} ms`;
    account.failed({ code: "canceled", httpStatus: 499, reason, retryAfterMs: undefined }, "aborted");
    this.#peer.destroy();
    socket.destroy();
  }
}
