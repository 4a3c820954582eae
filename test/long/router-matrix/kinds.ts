import type { Call, Version } from "../../support/http-server.js";

/** What a caller speaks. Only where an answer breaks off or is refused do they differ. */
export type Kind = "http" | "connect-unary" | "connect-stream" | "grpc" | "grpc-web";

export const everyKind: readonly Kind[] = ["http", "connect-unary", "connect-stream", "grpc", "grpc-web"];

/** One place of the matrix. */
export interface Cell {
  readonly in: Version;
  readonly out: Version;
  readonly kind: Kind;
}

export const contentTypes: Readonly<Record<Kind, string>> = {
  http: "text/plain",
  "connect-unary": "application/json",
  "connect-stream": "application/connect+json",
  grpc: "application/grpc+proto",
  "grpc-web": "application/grpc-web+proto",
};

/** Whether answers are made of messages with a length before each. */
export const isStream = (kind: Kind): boolean => kind !== "http" && kind !== "connect-unary";

export function envelope(flags: number, text: string): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(Buffer.byteLength(text), 1);
  return Buffer.concat([head, Buffer.from(text)]);
}

/** One message of an answer. */
export const message = (kind: Kind, text: string): Buffer =>
  isStream(kind) ? envelope(0, text) : Buffer.from(kind === "http" ? text : JSON.stringify(text));

/** How an answer tells its end, well or not: the last bytes of its body, and its trailers. */
export function endOf(
  kind: Kind,
  error?: string,
): { readonly body: Buffer; readonly trailers: Record<string, string> } {
  const grpcStatus = error === undefined ? "0" : error === "resource_exhausted" ? "8" : "2";
  switch (kind) {
    case "connect-stream":
      return { body: envelope(2, error === undefined ? "{}" : `{"error":{"code":"${error}"}}`), trailers: {} };
    case "grpc-web":
      return { body: envelope(0x80, `grpc-status: ${grpcStatus}\r\n`), trailers: {} };
    case "grpc":
      return { body: Buffer.alloc(0), trailers: { "grpc-status": grpcStatus } };
    default:
      return { body: Buffer.alloc(0), trailers: {} };
  }
}

const grpcCodes: Record<string, string> = {
  "0": "ok",
  "2": "unknown",
  "4": "deadline_exceeded",
  "8": "resource_exhausted",
  "14": "unavailable",
};

/** What a caller has seen of a whole call, as a client of its protocol would take it. */
export interface Seen {
  readonly status: number;
  /** The texts of the messages that came as a whole. */
  readonly texts: readonly string[];
  /** `ok`, the code of an error in the protocol, or `none` if the protocol told no end: the answer was cut off. */
  readonly code: string;
  /** Whether the connection or stream broke off. */
  readonly cut: boolean;
}

/** Follows a call to its end, whatever that is. */
export async function seenBy(call: Omit<Call, typeof Symbol.dispose>, kind: Kind): Promise<Seen> {
  const { request } = call;
  let trailers: Record<string, unknown> = {};
  const closed = new Promise<void>((resolve) => {
    if (request.closed) resolve();
    else request.once("close", () => resolve());
  });
  request.on("trailers", (fields: Record<string, unknown>) => {
    trailers = fields;
  });
  const head = await Promise.race([call.head.catch(() => undefined), closed.then(() => undefined)]);
  if (head === undefined) return { status: 0, texts: [], code: "none", cut: true };
  const chunks: Buffer[] = [];
  const { body } = head;
  body.on("error", () => {});
  body.on("data", (chunk: Buffer) => chunks.push(chunk));
  if ("rstCode" in request) {
    await closed;
    // gRPC puts its trailers into the head where nothing else follows.
    if (head.headers["grpc-status"] !== undefined) trailers = head.headers;
    return verdict(kind, head.status, Buffer.concat(chunks), trailers, request.rstCode !== 0);
  }
  await new Promise<void>((resolve) => {
    body.once("end", resolve).once("close", resolve);
    if (body.destroyed) resolve();
  });
  const complete = "complete" in body && body.complete;
  return verdict(kind, head.status, Buffer.concat(chunks), trailers, !complete);
}

function verdict(kind: Kind, status: number, body: Buffer, trailers: Record<string, unknown>, cut: boolean): Seen {
  const texts: string[] = [];
  if (!isStream(kind)) {
    const text = body.toString();
    const code = cut ? "none" : status === 200 ? "ok" : codeIn(text);
    return { status, texts: cut ? [] : [text], code, cut };
  }
  let code = kind === "grpc" ? (grpcCodes[String(trailers["grpc-status"])] ?? "none") : "none";
  for (let at = 0; at + 5 <= body.length; ) {
    const end = at + 5 + body.readUInt32BE(at + 1);
    if (end > body.length) break;
    const text = body.toString("utf8", at + 5, end);
    const flags = body[at];
    at = end;
    if (flags === 0) texts.push(text);
    else if (flags === 2) code = JSON.parse(text).error?.code ?? "ok";
    else code = grpcCodes[/grpc-status: (\d+)/.exec(text)?.[1] ?? ""] ?? "none";
  }
  return { status, texts, code, cut };
}

function codeIn(text: string): string {
  try {
    return JSON.parse(text).code ?? "unknown";
  } catch {
    return "unknown";
  }
}
