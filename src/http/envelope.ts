import { BodyReader } from "./body-reader.js";
import type { ServerExchange } from "./exchange.js";

/** Length of what stands in front of a message of a stream: one byte of flags, four of length. */
const prefixBytes = 5;

/** What the flags of an envelope say. */
export const envelopeFlags = { compressed: 1, endOfStream: 2 } as const;

/** A message of a stream with what goes in front of it. */
export function envelope(flags: number, bytes: Uint8Array): Buffer {
  const made = Buffer.allocUnsafe(prefixBytes + bytes.length);
  made.writeUInt8(flags, 0);
  made.writeUInt32BE(bytes.length, 1);
  made.set(bytes, prefixBytes);
  return made;
}

/** The one message of a request, or, if it is not the usual one, its body from the beginning on. */
export type RequestMessage =
  | { readonly message: Uint8Array<ArrayBuffer> }
  | { readonly body: AsyncIterable<Uint8Array> };

/**
 * Reads a request that should have one plain message of at most `maxBytes`. As soon as it is anything else, what came and
 * what comes is for somebody who knows what to do with it.
 */
export async function readOneMessage(exchange: ServerExchange, maxBytes: number): Promise<RequestMessage> {
  const reader = new BodyReader(exchange.body);
  const parts: Uint8Array[] = [];
  let length = 0;
  let wanted: number | undefined;
  const rest = (): RequestMessage => ({ body: joined(parts, reader) });
  try {
    for (let next = await reader.next(); next.done !== true; next = await reader.next()) {
      parts.push(next.value);
      length += next.value.length;
      if (wanted === undefined && length >= prefixBytes) wanted = wantedBytes(Buffer.concat(parts), maxBytes);
      if (wanted !== undefined && length > wanted) return rest();
    }
  } catch (error) {
    return { body: broken(parts, error) };
  }
  if (wanted !== length) return rest();
  // A message keeps parts of what it was read from. They must be plain bytes, and not hold the connection's buffer.
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return { message: bytes.slice(prefixBytes) };
}

/** The length of an envelope; -1, which every length exceeds, if it is not a plain message of at most `maxBytes`. */
function wantedBytes(start: Buffer, maxBytes: number): number {
  const bytes = start.readUInt32BE(1);
  return start[0] === 0 && bytes <= maxBytes ? prefixBytes + bytes : -1;
}

async function* joined(parts: readonly Uint8Array[], rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* parts;
  yield* rest;
}

async function* broken(parts: readonly Uint8Array[], error: unknown): AsyncGenerator<Uint8Array> {
  yield* parts;
  throw error;
}
