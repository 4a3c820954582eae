import { FrameDecoder } from "../../src/link/frame-decoder.js";
import { FrameWriter } from "../../src/link/frame-writer.js";
import { writeHello } from "../../src/link/hello.js";
import { type LinkLimits, resolveLinkLimits } from "../../src/link/link-limits.js";

/** One frame, as it stands on the wire. */
export function frameBytes(
  type: number,
  flags: number,
  id: number,
  payload: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const writer = new FrameWriter();
  writer.begin(type, flags, id);
  writer.bytes(payload, 0, payload.length);
  writer.finish();
  return writer.take();
}

/** The frame that comes first. */
export function helloBytes(limits: Partial<LinkLimits> = {}): Uint8Array {
  const writer = new FrameWriter();
  writeHello(writer, resolveLinkLimits(limits));
  return writer.take();
}

/** A frame that was read. */
export interface SeenFrame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Uint8Array;
}

/** The frames of some chunks; throws what the decoder throws. */
export function framesIn(chunks: readonly Uint8Array[], maxFrameBytes = 0xff_ffff): SeenFrame[] {
  const frames: SeenFrame[] = [];
  const decoder = new FrameDecoder(
    {
      frame(type, flags, id, bytes, from, to) {
        frames.push({ type, flags, id, payload: Uint8Array.from(bytes.subarray(from, to)) });
        return true;
      },
    },
    maxFrameBytes,
  );
  for (const chunk of chunks) decoder.push(chunk);
  return frames;
}

/** From hex, with spaces anywhere. */
export const fromHex = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(/\s/g, ""), "hex"));
