import type { ErrorCode } from "../errors.js";
import type { FieldList, ServerExchange } from "../http/exchange.js";
import type { CallProtocol } from "../model/call-event.js";
import { notSentField } from "../model/not-sent.js";
import { providerField } from "../model/provider-choice.js";
import { type ConnectCode, grpcStatusOf } from "./connect-code.js";
import type { EnvelopeTracker } from "./envelope-tracker.js";

/** Why the host itself answers a call instead of a provider. */
export interface CallFailure {
  readonly code: ConnectCode;
  /** Status for the protocols that carry errors in the HTTP status. */
  readonly httpStatus: number;
  /** For people. */
  readonly reason: string;
  /** Undefined if trying again does not help. */
  readonly retryAfterMs: number | undefined;
  /** The runtime id of the caller, if the call was certainly passed to no provider; see `notSentField`. */
  readonly notSentFor?: string;
  /** The runtime id of the provider that was chosen, for a caller that wants to know; see `providerField`. */
  readonly toldProvider?: string;
  /** The host's own code, where the Connect code alone does not tell; the caller gets it as `error-code`. */
  readonly errorCode?: ErrorCode;
}

/** A failure; without `retryAfterMs` trying again does not help. */
export const failureOf = (
  code: ConnectCode,
  httpStatus: number,
  reason: string,
  retryAfterMs?: number,
): CallFailure => ({ code, httpStatus, reason, retryAfterMs });

/** A whole answer that carries a failure. */
export interface ErrorAnswer {
  readonly status: number;
  readonly fields: FieldList;
  readonly body: Buffer;
}

/** `grpc-message`: UTF-8 with everything but printable ASCII, and `%`, escaped. */
export function encodeGrpcMessage(message: string): string {
  if (/^[\x20-\x24\x26-\x7e]*$/.test(message)) return message;
  let encoded = "";
  for (const byte of Buffer.from(message, "utf8")) {
    encoded +=
      byte < 0x20 || byte > 0x7e || byte === 0x25
        ? `%${byte.toString(16).toUpperCase().padStart(2, "0")}`
        : String.fromCharCode(byte);
  }
  return encoded;
}

/** What the fields of an answer say of the failure: its own code, who was asked, and whether another attempt is of use. */
export function adviceFields({ retryAfterMs, notSentFor, toldProvider, errorCode }: CallFailure): string[] {
  const fields: string[] = [];
  if (retryAfterMs !== undefined) fields.push("retry-after", String(Math.max(1, Math.ceil(retryAfterMs / 1000))));
  if (notSentFor !== undefined) fields.push(notSentField, notSentFor);
  if (toldProvider !== undefined) fields.push(providerField, toldProvider);
  if (errorCode !== undefined) fields.push("error-code", errorCode);
  return fields;
}

/** One message of an enveloped stream. */
function envelope(flags: number, message: string): Buffer {
  const body = Buffer.from(message, "utf8");
  const out = Buffer.allocUnsafe(5 + body.length);
  out[0] = flags;
  out.writeUInt32BE(body.length, 1);
  body.copy(out, 5);
  return out;
}

/** The trailers with which gRPC reports a failure. */
function grpcErrorTrailers(failure: CallFailure): string[] {
  const trailers = [
    "grpc-status",
    String(grpcStatusOf(failure.code)),
    "grpc-message",
    encodeGrpcMessage(failure.reason),
  ];
  if (failure.retryAfterMs !== undefined)
    trailers.push("grpc-retry-pushback-ms", String(Math.ceil(failure.retryAfterMs)));
  return trailers;
}

function grpcWebErrorFrame(failure: CallFailure): Buffer {
  const trailers = grpcErrorTrailers(failure);
  let text = "";
  for (let i = 0; i < trailers.length; i += 2) text += `${trailers[i]}: ${trailers[i + 1]}\r\n`;
  return envelope(0x80, text);
}

const connectErrorJson = (failure: CallFailure): string =>
  JSON.stringify({ code: failure.code, message: failure.reason });

const connectEndFrame = (failure: CallFailure): Buffer => envelope(0x02, `{"error":${connectErrorJson(failure)}}`);

/**
 * The answer that tells of a failure in the caller's protocol. `contentType` is the request's, and is sent back by the
 * protocols that keep it.
 */
export function errorAnswer(
  protocol: CallProtocol,
  contentType: string | undefined,
  failure: CallFailure,
): ErrorAnswer {
  const type = contentType !== undefined && !contentType.includes(",") ? contentType : undefined;
  const retry = adviceFields(failure);
  switch (protocol) {
    case "grpc":
      return {
        status: 200,
        fields: ["content-type", type ?? "application/grpc", ...retry, ...grpcErrorTrailers(failure)],
        body: Buffer.alloc(0),
      };
    case "grpc-web": {
      // In the body and not among the fields: there a browser would show them to nobody but the same origin.
      const frame = grpcWebErrorFrame(failure);
      const isText = type?.toLowerCase().startsWith("application/grpc-web-text") ?? false;
      const body = isText ? Buffer.from(frame.toString("base64"), "latin1") : frame;
      return { status: 200, fields: withLength(type ?? "application/grpc-web", body, retry), body };
    }
    case "connect-stream": {
      const body = connectEndFrame(failure);
      return { status: 200, fields: withLength(type ?? "application/connect+proto", body, retry), body };
    }
    case "connect-unary":
    case "connect-get":
    case "http": {
      const body = Buffer.from(connectErrorJson(failure), "utf8");
      return { status: failure.httpStatus, fields: withLength("application/json", body, retry), body };
    }
  }
}

const withLength = (contentType: string, body: Buffer, retry: readonly string[]): string[] => [
  "content-type",
  contentType,
  "content-length",
  String(body.length),
  ...retry,
];

/** Answers an exchange that has no answer yet with a failure. Returns the HTTP status sent. */
export function sendError(exchange: ServerExchange, protocol: CallProtocol, failure: CallFailure): number {
  const { status, fields, body } = errorAnswer(protocol, exchange.head.header("content-type"), failure);
  if (body.length === 0 || exchange.head.method === "HEAD") {
    exchange.respond(status, fields, true);
    return status;
  }
  exchange.reply(status, fields, body);
  return status;
}

/**
 * Ends an answer that broke half-way so that nobody takes it for complete: by the protocol's own error where its messages
 * allow one now, otherwise by cutting it off. `tracker` is undefined if the answer is not made of envelopes, or its length
 * was announced.
 */
export function breakAnswer(
  exchange: ServerExchange,
  protocol: CallProtocol,
  tracker: EnvelopeTracker | undefined,
  failure: CallFailure,
): void {
  if (tracker?.mayEndHere !== true) {
    exchange.abort();
    return;
  }
  switch (protocol) {
    case "grpc":
      exchange.end(grpcErrorTrailers(failure));
      return;
    case "grpc-web":
      exchange.write(grpcWebErrorFrame(failure));
      exchange.end();
      return;
    case "connect-stream":
      exchange.write(connectEndFrame(failure));
      exchange.end();
      return;
    default:
      exchange.abort();
  }
}
