import type { Socket } from "node:net";
import { block, frame, type RawFields } from "./http2-frames.js";
import { startRawProvider, type TestProvider } from "./router-host.js";

/** Frames of a provider's, as the wire has them. */
export const headFrame = (streamId: number, fields: RawFields, ends = false): Buffer =>
  frame(1, ends ? 5 : 4, streamId, block(fields));
export const dataFrame = (streamId: number, data: string, ends = false): Buffer =>
  frame(0, ends ? 1 : 0, streamId, Buffer.from(data, "latin1"));
export const resetFrame = (streamId: number, code: number): Buffer => frame(3, 0, streamId, uint32(code));
export const goawayFrame = (lastStreamId: number): Buffer =>
  frame(7, 0, 0, Buffer.concat([uint32(lastStreamId), uint32(0)]));

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** What one connection of the host's says. */
interface RawSession {
  readonly socket: Socket;
  /** Counts from 1. */
  readonly number: number;
}

export interface RawProviderHandler {
  /** A head has come; `path` cannot be told, since nobody here reads header blocks. */
  request(session: RawSession, streamId: number): void;
  /** The host will not go on with the connection. */
  goaway?(session: RawSession): void;
  /** Whether settings are acknowledged and pings answered. @default always */
  isThere?(asked: "settings" | "ping"): boolean;
}

/** A provider that says what it is told to over HTTP/2, right or wrong. */
export function startRawHttp2Provider(handler: RawProviderHandler): Promise<TestProvider> {
  let sessions = 0;
  return startRawProvider((socket) => {
    const session: RawSession = { socket, number: ++sessions };
    let kept: Buffer = Buffer.alloc(0);
    let left = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".length;
    socket.write(frame(4, 0, 0));
    socket.on("data", (chunk: Buffer) => {
      const skipped = Math.min(left, chunk.length);
      left -= skipped;
      kept = Buffer.concat([kept, chunk.subarray(skipped)]);
      while (kept.length >= 9 && kept.length >= 9 + kept.readUIntBE(0, 3)) {
        const end = 9 + kept.readUIntBE(0, 3);
        const [type, flags, streamId] = [kept[3], kept.readUInt8(4), kept.readUInt32BE(5)];
        const payload = kept.subarray(9, end);
        kept = kept.subarray(end);
        const asks = (type === 4 || type === 6) && (flags & 1) === 0;
        if (asks && handler.isThere?.(type === 6 ? "ping" : "settings") !== false)
          socket.write(frame(type, 1, 0, type === 6 ? payload : undefined));
        else if (type === 1) handler.request(session, streamId);
        else if (type === 7) handler.goaway?.(session);
      }
    });
  });
}
