import type { Duplex } from "node:stream";

/** Fields as they go into a header block, in this order, pseudo-headers among them. */
export type RawFields = readonly (readonly [name: string, value: string])[];

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** One frame (RFC 9113, 4.1). */
export function frame(type: number, flags: number, streamId: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, "latin1");
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest >>= 7) length.push((rest & 127) | 128);
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}

/** A header block of literals only (RFC 7541, 6.2.2): whatever is given goes out, right or wrong. */
export const block = (fields: RawFields): Buffer =>
  Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), text(name), text(value)]));

/** One request on stream 1, written by hand. Without body and trailers it ends with its head. */
export interface RawRequest {
  readonly fields: RawFields;
  readonly body?: string;
  readonly trailers?: RawFields;
}

function bytesOf({ fields, body, trailers }: RawRequest): Buffer {
  const ends = (isLast: boolean): number => (isLast ? 1 : 0);
  const frames = [frame(1, 4 | ends(body === undefined && trailers === undefined), 1, block(fields))];
  if (body !== undefined) frames.push(frame(0, ends(trailers === undefined), 1, Buffer.from(body, "latin1")));
  if (trailers !== undefined) frames.push(frame(1, 5, 1, block(trailers)));
  return Buffer.concat([preface, frame(4, 0, 0), ...frames]);
}

// The static table's statuses (RFC 7541, appendix A).
const statuses: Readonly<Record<number, number>> = { 136: 200, 137: 204, 140: 400, 141: 404, 142: 500 };

/** What came of a request: its status (0 if it is none of the frequent ones), or how it was cut off. */
export type RawOutcome = number | "reset" | "goaway" | "closed";

/** Sends a request and resolves with the first thing that is said about it. Destroys the connection then. */
export async function sendRaw(socket: Duplex, request: RawRequest): Promise<RawOutcome> {
  let bytes: Buffer = Buffer.alloc(0);
  try {
    return await new Promise((resolve) => {
      socket.on("error", () => {});
      socket.on("close", () => resolve("closed"));
      socket.on("data", (chunk: Buffer) => {
        bytes = Buffer.concat([bytes, chunk]);
        while (bytes.length >= 9 && bytes.length >= 9 + bytes.readUIntBE(0, 3)) {
          const length = bytes.readUIntBE(0, 3);
          const [type, streamId] = [bytes[3], bytes.readUInt32BE(5)];
          const payload = bytes.subarray(9, 9 + length);
          bytes = bytes.subarray(9 + length);
          if (type === 7) resolve("goaway");
          if (streamId !== 1) continue;
          if (type === 3) resolve("reset");
          // A change of the table's size may stand in front.
          if (type === 1) resolve(statuses[payload.find((byte) => byte >> 5 !== 1) ?? 0] ?? 0);
        }
      });
      socket.write(bytesOf(request));
    });
  } finally {
    socket.destroy();
  }
}
