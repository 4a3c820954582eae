import { EventEmitter, once } from "node:events";
import { createServer as createHttp1Server, type IncomingMessage, type ServerResponse } from "node:http";
import {
  createServer as createHttp2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type Http2Stream,
} from "node:http2";
import { createServer, type Server, type Socket } from "node:net";
import { setTimeout as after } from "node:timers/promises";
import { Platform, type PlatformOptions, type Registration } from "../../index.js";
import { readHandshake } from "./handshake-answer.js";

/** One call that the plugin made to its host. */
export interface ObservedCall {
  /** As it came, without query. */
  readonly rawPath: string;
  /** `Service/Method` of the host's own procedures, such as `HandshakeService/Handshake`; otherwise the path. */
  readonly procedure: string;
  readonly hasIdentity: boolean;
  /** Undefined while it goes on. */
  status: number | undefined;
  /** The beginning of the answer's body, a character for each byte. */
  answer: string;
}

/** Stands in front of every path of the plugin's HOST_URL, as launch and join prefixes do. */
const prefix = "/_join/check-0123456789";
const maxAnswerChars = 4_096;

/** A real host on a port of its own that remembers what is asked of it. */
export class ObservedHost {
  readonly platform: Platform;
  /** Every call so far, in order. */
  readonly calls: ObservedCall[] = [];
  /** Connections that were to become links, or went to a plugin's own WebSocket. What is said on links is not looked into. */
  upgrades = 0;
  /** Every registration that was accepted since `recordRegistrations`, in order. */
  readonly registrations: Registration[] = [];
  /** Where the host is. */
  readonly url: string;
  /** What plugins are told: with a path, which they have to keep. */
  readonly pluginUrl: string;
  /** The path of `pluginUrl`. */
  readonly prefix = prefix;
  readonly #server: Server;
  readonly #changes = new EventEmitter();
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, url: string, options: PlatformOptions) {
    this.#server = server;
    this.url = url;
    this.pluginUrl = `${url}${prefix}`;
    const joinToken = prefix.slice("/_join/".length);
    // What a plugin does beyond its declaration is for the check to see, not for the host to refuse.
    const own = { publicUrl: url, joinToken, permissions: "off" } as const;
    this.platform = new Platform({ limits: { connectGraceMs: 1_000 }, ...options, ...own });
    const serve = (req: IncomingMessage | Http2ServerRequest, res: ServerResponse | Http2ServerResponse): void => {
      this.#observe(req, res);
      this.platform.handler(req, res);
    };
    const { upgradeHandler } = this.platform;
    const http1 = createHttp1Server({ requestTimeout: 0 }, serve).on("upgrade", (req, socket, head) => {
      this.upgrades++;
      upgradeHandler(req, socket, head);
    });
    const http2 = createHttp2Server(serve);
    server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket)).on("error", () => {});
      socket.once("data", (first: Buffer) => {
        socket.pause();
        socket.unshift(first);
        const isHttp2 = first.toString("latin1", 0, 3) === "PRI";
        (isHttp2 ? http2 : http1).emit("connection", socket);
        // What HTTP/2 reads, it takes from the paused socket; flowing, the socket loses the first bytes.
        if (!isHttp2) socket.resume();
      });
    });
  }

  /** `options` of its platform, but for the URL and the join token. */
  static async open(options: PlatformOptions = {}): Promise<ObservedHost> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (typeof address !== "object" || address === null) throw new Error("a TCP server has no port");
    return new ObservedHost(server, `http://127.0.0.1:${address.port}`, options);
  }

  /** By what the plugin knows this host, as the last handshake answered it; undefined if it did not ask for that. */
  get hostSecret(): string | undefined {
    return readHandshake(this.#handshakes.at(-1)?.answer ?? "")?.hostSecret || undefined;
  }

  /** Every runtime token that it was given in answers to its handshakes. */
  get tokens(): string[] {
    return this.#handshakes.flatMap(({ answer }) => readHandshake(answer)?.runtimeToken || []);
  }

  get #handshakes(): ObservedCall[] {
    return this.calls.filter(({ procedure }) => procedure === "HandshakeService/Handshake");
  }

  /** From now on registrations are the plugin's. */
  recordRegistrations(): void {
    this.platform.on("registered", ({ registration }) => {
      this.registrations.push(registration);
      this.#changes.emit("change");
    });
  }

  /** Resolves with whether `isSo` holds before the time is over; asked again with every call and registration. */
  async until(isSo: () => boolean, timeoutMs: number, end?: AbortSignal): Promise<boolean> {
    const endsAt = performance.now() + timeoutMs;
    while (!isSo()) {
      const leftMs = endsAt - performance.now();
      if (leftMs <= 0 || end?.aborted === true) return false;
      const next = new AbortController();
      const signal = end === undefined ? next.signal : AbortSignal.any([next.signal, end]);
      const change = once(this.#changes, "change", { signal }).catch(() => undefined);
      await Promise.race([change, after(leftMs, undefined, { signal }).catch(() => undefined)]);
      next.abort();
    }
    return true;
  }

  /** Calls the host's own procedure as a plugin with these headers; the answer's JSON. */
  async ask(path: string, message: unknown, headers: Readonly<Record<string, string>> = {}): Promise<unknown> {
    const answer = await fetch(`${this.pluginUrl}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-connect-plugin-check": "1", ...headers },
      body: JSON.stringify(message),
    });
    return answer.json();
  }

  /** A new identity, or with `renew` a new token for that one. */
  async identity(
    selfId: string,
    renew?: { readonly runtimeId: string; readonly runtimeToken: string },
  ): Promise<{ readonly runtimeId: string; readonly runtimeToken: string }> {
    const hello = {
      coreProtocolVersion: 1,
      appProtocolVersion: 1,
      magicCookieKey: "CONNECT_PLUGIN",
      magicCookieValue: "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e",
      selfId,
      selfVersion: "1.0.0",
    };
    const headers = renew === undefined ? {} : identityHeaders(renew);
    const answer = await this.ask("/connectplugin.v1.HandshakeService/Handshake", hello, headers);
    return answer as { runtimeId: string; runtimeToken: string };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.platform.stop();
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #observe(req: IncomingMessage | Http2ServerRequest, res: ServerResponse | Http2ServerResponse): void {
    // The check's own calls are none of the plugin's.
    if (req.headers["x-connect-plugin-check"] !== undefined) return;
    const rawPath = req.url?.split("?")[0] ?? "";
    const path = rawPath.startsWith(prefix) ? rawPath.slice(prefix.length) : rawPath;
    const call: ObservedCall = {
      rawPath,
      // A program that the host starts is known by what stands in front.
      procedure: path.replace(/^(\/_launch\/[^/]+)?\/+connectplugin\.v1\./, ""),
      hasIdentity: req.headers["x-plugin-runtime-id"] !== undefined && req.headers.authorization !== undefined,
      status: undefined,
      answer: "",
    };
    this.calls.push(call);
    // Over HTTP/2 an answer may be written to its stream as well as to the response in front of that.
    const written = req.httpVersionMajor === 1 ? (res as ServerResponse) : (req as Http2ServerRequest).stream;
    keepAnswer(written, call);
    written.once("close", () => {
      const http2Status = "stream" in req ? req.stream?.sentHeaders?.[":status"] : undefined;
      call.status = http2Status === undefined ? res.statusCode : Number(http2Status);
      this.#changes.emit("change");
    });
    this.#changes.emit("change");
  }
}

/** The headers that prove an identity. */
export const identityHeaders = (identity: {
  readonly runtimeId: string;
  readonly runtimeToken: string;
}): Record<string, string> => ({
  "x-plugin-runtime-id": identity.runtimeId,
  authorization: `Bearer ${identity.runtimeToken}`,
});

/** Remembers the beginning of what is written to `res`. */
function keepAnswer(res: Pick<ServerResponse | Http2Stream, "write" | "end">, call: ObservedCall): void {
  for (const name of ["write", "end"] as const) {
    const write = res[name].bind(res) as (...args: unknown[]) => unknown;
    const observed = (...args: unknown[]): unknown => {
      const [chunk, encoding] = args;
      if (call.answer.length < maxAnswerChars && (typeof chunk === "string" || chunk instanceof Uint8Array)) {
        const coding = typeof encoding === "string" ? (encoding as BufferEncoding) : "utf8";
        const bytes = typeof chunk === "string" ? Buffer.from(chunk, coding) : Buffer.from(chunk);
        call.answer += bytes.toString("latin1").slice(0, maxAnswerChars);
      }
      return write(...args);
    };
    Object.assign(res, { [name]: observed });
  }
}
