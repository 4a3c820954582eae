import { request as httpRequest, type IncomingMessage } from "node:http";
import { PluginHostError } from "../errors.js";
import type { Clock } from "../internal/clock.js";
import { linkPath, linkSubprotocol, linkUpgradeToken, maxWsMessageBytes } from "./link-opening.js";
import type { LinkTransport } from "./link-transport.js";
import { SocketTransport } from "./socket-transport.js";
import { WsTransport } from "./ws-transport.js";

/** Where a link goes, and as whom. */
export interface DialLinkOptions {
  /** The host's URL: `http:` or `https:`, with the path that its other procedures are behind, or `unix:/path/to/socket`. */
  readonly url: string;
  /** Sent with the opening: `X-Plugin-Runtime-ID` and `Authorization`. */
  readonly headers: Readonly<Record<string, string>>;
  /** How long connecting and the host's answer may take. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Gives up while the link is not open yet. */
  readonly signal?: AbortSignal;
  /** More for TLS: `ca`, `cert`, `key` and the like, as `node:tls` takes them. */
  readonly tls?: Readonly<Record<string, unknown>>;
}

/** What an attempt calls when it knows how it ends, and what ends it early. */
interface Attempt {
  opened(transport: LinkTransport): void;
  answered(answer: IncomingMessage): void;
  failed(error: Error): void;
  /** To be set: stops the attempt, which then fails. */
  stop: () => void;
}

/**
 * Opens a connection for a link: a WebSocket, or over a Unix socket the bare connection after an HTTP upgrade.
 *
 * @throws PluginHostError `UNAUTHENTICATED` if the host refuses the identity, `PLUGIN_UNREACHABLE` with `status` in
 * `details` if it answers anything else than an upgrade (a host without links: use plain HTTP), and without if
 * it does not answer
 */
export async function dialLink(options: DialLinkOptions): Promise<LinkTransport> {
  const { url, timeoutMs, clock, signal } = options;
  const dial = url.startsWith("unix:") ? dialRaw : await webSocketDialler();
  return new Promise((resolve, reject) => {
    let early: string | undefined;
    const giveUp = (why: string): void => {
      early = why;
      attempt.stop();
    };
    const abort = (): void => giveUp("the caller gave up");
    const timer = clock.after(timeoutMs, () => giveUp(`no answer within ${timeoutMs} ms`), true);
    const settled = (): void => {
      timer.cancel();
      signal?.removeEventListener("abort", abort);
    };
    const fail = (error: PluginHostError): void => {
      settled();
      reject(error);
    };
    const attempt: Attempt = {
      stop: () => {},
      opened(transport) {
        settled();
        resolve(transport);
      },
      answered({ statusCode }) {
        const message = `the host at ${url} answered ${statusCode} instead of opening a link`;
        const code = statusCode === 401 ? "UNAUTHENTICATED" : "PLUGIN_UNREACHABLE";
        fail(new PluginHostError(code, message, { details: { status: statusCode } }));
      },
      failed(cause) {
        fail(new PluginHostError("PLUGIN_UNREACHABLE", `no link to ${url}: ${early ?? cause.message}`, { cause }));
      },
    };
    dial(options, attempt);
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) abort();
  });
}

function dialRaw({ url, headers }: DialLinkOptions, attempt: Attempt): void {
  const socketPath = url.slice("unix:".length);
  const fields = { ...headers, host: "localhost", connection: "Upgrade", upgrade: linkUpgradeToken };
  const request = httpRequest({ socketPath, path: linkPath, headers: fields, agent: false });
  attempt.stop = () => request.destroy();
  request.once("upgrade", (_answer, socket, head) => attempt.opened(new SocketTransport(socket, head)));
  request.once("response", (answer) => {
    attempt.answered(answer);
    request.destroy();
  });
  request.on("error", (error) => attempt.failed(error));
  request.end();
}

/** `ws` is loaded by whoever dials first. */
async function webSocketDialler(): Promise<typeof dialRaw> {
  const { WebSocket } = await import("ws");
  return ({ url, headers, tls }, attempt) => {
    const target = `${url.replace(/\/+$/, "").replace(/^http/, "ws")}${linkPath}`;
    const socket = new WebSocket(target, linkSubprotocol, {
      ...tls,
      headers: { ...headers },
      perMessageDeflate: false,
      maxPayload: maxWsMessageBytes,
    });
    // Before it opens, so that nothing that the host says first is lost.
    const transport = new WsTransport(socket);
    attempt.stop = () => socket.terminate();
    socket.once("open", () => attempt.opened(transport));
    socket.once("unexpected-response", (request, answer) => {
      attempt.answered(answer);
      request.destroy();
    });
    socket.on("error", (error) => attempt.failed(error));
  };
}
