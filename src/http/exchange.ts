import type { Readable, Writable } from "node:stream";
import type { Principal } from "../model/principal.js";
import type { PeerIdentity } from "./peer-certificate.js";

/** Header or trailer fields as a flat list: name, value, name, value. Names are lower-case. */
export type FieldList = readonly string[];

/** What is known of the connection that a request came over. */
export interface ConnectionInfo {
  readonly transport: "tcp" | "unix" | "memory";
  /** The peer's IP address; empty for Unix sockets and connections in memory. */
  readonly remoteAddress: string;
  readonly encrypted: boolean;
  /** Who is at the other end if the connection itself says so; only connections in memory do. */
  readonly principal: Principal | undefined;
  /** Who is at the other end by the certificate that it has shown, if it was checked. */
  readonly peer?: PeerIdentity | undefined;
}

/** A request without its body. */
export interface RequestHead {
  readonly method: string;
  /** Path and query exactly as they came, still escaped. */
  readonly target: string;
  /** `Host` or `:authority`; empty if the request had none. */
  readonly authority: string;
  readonly httpVersion: "1.0" | "1.1" | "2";
  /** All fields in the order they came, without HTTP/2's pseudo-headers. */
  readonly fields: FieldList;
  /** The value of a field, several of them joined with `, `. `name` is lower-case. */
  header(name: string): string | undefined;
  readonly connection: ConnectionInfo;
}

/** How an exchange ended. */
export type ExchangeEnd =
  /** The whole answer was handed to the connection. */
  | { readonly kind: "completed" }
  /** The caller hung up, or its connection broke, before the answer was complete. */
  | { readonly kind: "caller-gone" }
  /** We gave up through `abort`. */
  | { readonly kind: "aborted" };

/**
 * One request and its answer, the same for HTTP/1.1 and HTTP/2. `respond` comes first, then any number of
 * `write` (with the back pressure of a Node stream), then `end`. All methods are safe to
 * call when the caller is gone already: they do nothing then.
 */
export interface ServerExchange {
  readonly head: RequestHead;
  /** Takes a prefix off the path: from now on `head.target` is this. */
  retarget(target: string): void;
  /** The request's body. Bytes that nobody wants are read and dropped once the answer has ended. */
  readonly body: Readable;
  /** Whether nobody but the reader of `body` gets to see its pieces, so that their memory is the reader's to give back. */
  readonly ownsBody: boolean;
  /** Whether the head says that no body follows, so that nobody has to wait for one. */
  readonly bodyless: boolean;
  /** The request's trailers; empty until `body` has ended. */
  requestTrailers(): FieldList;
  /**
   * Sends a 1xx answer, before `respond`. Not 100, which goes out by itself as soon as the body is first read, nor 101. One
   * that cannot be sent (over HTTP/1.0, or with a field that is not valid) is left out.
   */
  informational(status: number, fields: FieldList): void;
  /** Sends status and fields. With `endOfAnswer` the answer has neither body nor trailers. */
  respond(status: number, fields: FieldList, endOfAnswer?: boolean): void;
  readonly responded: boolean;
  /** Writes the next bytes of the answer's body. False asks to wait for `drain` of `response`. */
  write(chunk: Buffer): boolean;
  /** The stream behind `write`. */
  readonly response: Writable;
  /** The whole answer at once: `respond`, one write and `end`, in fewer steps. Text is sent as UTF-8. */
  reply(status: number, fields: FieldList, body: Uint8Array | string): void;
  /** Ends the answer cleanly. Then reads and drops what is left of the request, within limits. */
  end(trailers?: FieldList): void;
  /** Cuts the answer off so that no caller can take it for complete: resets the stream, or destroys the connection. */
  abort(): void;
  /** Undefined while the exchange goes on. */
  readonly ended: ExchangeEnd | undefined;
  /** Calls `listener` once when the exchange ends; at once if it has ended already. */
  onEnd(listener: (end: ExchangeEnd) => void): void;
}

/** Takes care of one exchange. Must not throw; a rejection is answered with 500 by the server. */
export type ExchangeHandler = (exchange: ServerExchange) => void | Promise<void>;
