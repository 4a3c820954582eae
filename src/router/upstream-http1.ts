import { type Agent, type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import type { FieldList } from "../http/exchange.js";
import { toFieldList } from "../http/field-list.js";
import type { Clock, Timer } from "../internal/clock.js";
import { keepAliveAgent } from "./keep-alive-agent.js";
import type { TargetAddress } from "./target-address.js";
import type { Upstream, UpstreamCall, UpstreamEvents, UpstreamFailure, UpstreamRequest } from "./upstream.js";

// How long a body waits for a 100 from a provider that may never have heard of it (RFC 9110, 10.1.1 asks for a limit).
const continueWaitMs = 1_000;

/** What HTTP/1.1 calls of one provider share. */
export interface Http1Options {
  readonly clock: Clock;
  readonly connectTimeoutMs: number;
  readonly idleSocketMs: number;
  readonly maxHeaderBytes: number;
}

/** Calls one provider over a pool of HTTP/1.1 connections. */
export class Http1Upstream implements Upstream {
  readonly #agent: Agent;
  readonly #send: typeof httpRequest;

  constructor(
    readonly target: TargetAddress,
    readonly options: Http1Options,
  ) {
    this.#agent = keepAliveAgent(target, options.idleSocketMs);
    this.#send = target.secure ? httpsRequest : httpRequest;
  }

  start(request: UpstreamRequest, events: UpstreamEvents): UpstreamCall {
    const { target } = this;
    const options = {
      agent: this.#agent,
      method: request.method,
      path: request.path,
      host: target.host,
      port: target.port,
      socketPath: target.socketPath,
      headers: headLines(request, target.authority),
      maxHeaderSize: this.options.maxHeaderBytes,
    };
    let sent: ClientRequest;
    try {
      sent = this.#send(options as never);
    } catch (error) {
      return new UnsentCall(events, { kind: "invalid", message: (error as Error).message });
    }
    return new Http1Call(sent, request, events, this.options, target.secure);
  }

  close(): void {
    for (const sockets of Object.values(this.#agent.freeSockets)) {
      for (const socket of sockets ?? []) socket.destroy();
    }
    // From now on a connection is not kept when its call is over.
    this.#agent.keepSocketAlive = () => false;
  }
}

/** The flat head that node:http writes as it is, with `Host` and the framing of the body. */
function headLines(request: UpstreamRequest, authority: string): string[] {
  const lines = ["host", authority, ...request.fields];
  if (request.expectsContinue) lines.push("expect", "100-continue");
  if (request.hasLength) return lines;
  if (request.hasBody) lines.push("transfer-encoding", "chunked");
  // Providers of the Go library send and expect an empty message with its length.
  else if (request.method !== "GET" && request.method !== "HEAD") lines.push("content-length", "0");
  return lines;
}

class Http1Call implements UpstreamCall {
  readonly requestBody: Writable;
  #answer: IncomingMessage | undefined;
  #over = false;
  /** Whether the connection stood, so that the provider may have seen something. */
  #connected = false;
  #timer: Timer | undefined;

  constructor(
    readonly sent: ClientRequest,
    readonly request: UpstreamRequest,
    readonly events: UpstreamEvents,
    readonly options: Http1Options,
    readonly secure: boolean,
  ) {
    this.requestBody = sent;
    sent.maxHeadersCount = 0;
    sent.on("socket", (socket) => this.#onSocket(socket));
    sent.on("response", (answer) => this.#onResponse(answer));
    sent.on("information", (info) => this.#onInformation(info.statusCode, info.rawHeaders));
    sent.on("error", (error) => this.#break(this.#connected ? "broken" : "unreachable", error));
    sent.on("close", () => this.#onClose());
    if (!request.hasBody) sent.end();
  }

  get answerBody(): Readable {
    return this.#answer as IncomingMessage;
  }

  endRequest(trailers: FieldList): void {
    if (trailers.length > 0 && !this.request.hasLength) {
      const pairs: [string, string][] = [];
      for (let i = 0; i < trailers.length; i += 2) pairs.push([trailers[i] as string, trailers[i + 1] as string]);
      this.sent.addTrailers(pairs);
    }
    this.sent.end();
  }

  cancel(): void {
    this.#finish();
    this.sent.destroy();
  }

  #onSocket(socket: Socket): void {
    if (this.#over) return;
    if (this.sent.reusedSocket || (socket.connecting !== true && !this.secure)) {
      this.#onConnected();
      return;
    }
    this.#timer = this.options.clock.after(this.options.connectTimeoutMs, () => {
      this.#break("timeout", new Error(`no connection within ${this.options.connectTimeoutMs} ms`));
    });
    socket.once(this.secure ? "secureConnect" : "connect", () => this.#onConnected());
  }

  #onConnected(): void {
    if (this.#over) return;
    this.#connected = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    if (!this.request.hasBody) return;
    if (!this.request.expectsContinue) {
      this.#sendHead();
      this.events.ready(this);
      return;
    }
    const release = (): void => {
      if (this.#timer === undefined || this.#over || this.#answer !== undefined) return;
      this.#timer.cancel();
      this.#timer = undefined;
      this.events.ready(this);
    };
    this.#timer = this.options.clock.after(continueWaitMs, release);
    this.sent.once("continue", release);
  }

  /** The head must not wait for the first bytes of the body, but share a packet with them if they are there already. */
  #sendHead(): void {
    const { socket } = this.sent;
    socket?.cork();
    this.sent.flushHeaders();
    // A tick later than whoever is told now needs to begin to read the body.
    process.nextTick(process.nextTick, uncork, socket);
  }

  #onInformation(status: number, fields: readonly string[]): void {
    // Node offers the 100 here too; it is of this connection only.
    if (!this.#over && status !== 100) this.events.informational(status, toFieldList(fields));
  }

  #onResponse(answer: IncomingMessage): void {
    this.#answer = answer;
    if (this.#over) {
      answer.resume();
      return;
    }
    answer.on("end", () => this.#onEnd(answer));
    answer.on("error", (error) => this.#break("broken", error));
    const status = answer.statusCode as number;
    const bodyless =
      this.request.method === "HEAD" || status === 204 || status === 304 || answer.headers["content-length"] === "0";
    this.events.answered(this, status, toFieldList(answer.rawHeaders), bodyless);
    if (bodyless) answer.resume();
  }

  #onEnd(answer: IncomingMessage): void {
    if (this.#over) return;
    if (!answer.complete) {
      this.#break("broken", new Error("the answer ended before it was complete"));
      return;
    }
    this.#finish();
    this.events.ended(answer.rawTrailers.length === 0 ? [] : toFieldList(answer.rawTrailers));
  }

  #onClose(): void {
    // Nearly always the answer was complete, and an error costs more than the rest of all this.
    if (this.#over) return;
    this.#break(
      this.#connected ? "broken" : "unreachable",
      new Error("the connection was closed before the answer was complete"),
    );
  }

  #break(kind: UpstreamFailure["kind"], error: Error): void {
    if (this.#over) return;
    this.#finish();
    this.sent.destroy();
    this.events.broken({ kind, message: error.message });
  }

  #finish(): void {
    this.#over = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}

function uncork(socket: Socket | null): void {
  socket?.uncork();
}

/** A call that could not be written at all. */
class UnsentCall implements UpstreamCall {
  #cancelled = false;

  constructor(events: UpstreamEvents, failure: UpstreamFailure) {
    process.nextTick(() => {
      if (!this.#cancelled) events.broken(failure);
    });
  }
  get requestBody(): never {
    throw new TypeError("a call that was not sent has no body");
  }
  get answerBody(): never {
    throw new TypeError("a call that was not sent has no answer");
  }
  endRequest(): void {}
  cancel(): void {
    this.#cancelled = true;
  }
}
