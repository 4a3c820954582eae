import { expect, test } from "vitest";
import { FrameDecoder } from "../../../src/link/frame-decoder.js";
import { frameBytes, framesIn } from "../../support/link-frames.js";

test("frames come out whole wherever their bytes are cut", () => {
  const bytes = Buffer.concat([
    frameBytes(1, 2, 0xfffffffe, new Uint8Array([1, 2, 3])),
    frameBytes(3, 0, 0),
    frameBytes(255, 255, 1, new Uint8Array(300).fill(9)),
  ]);
  const whole = framesIn([bytes]);
  expect(whole.map(({ type, flags, id, payload }) => [type, flags, id, payload.length])).toEqual([
    [1, 2, 0xfffffffe, 3],
    [3, 0, 0, 0],
    [255, 255, 1, 300],
  ]);
  for (let cut = 0; cut <= 40; cut++) expect(framesIn([bytes.subarray(0, cut), bytes.subarray(cut)])).toEqual(whole);
  expect(framesIn(Array.from(bytes.subarray(0, 30), (byte) => Uint8Array.of(byte)))).toEqual(
    framesIn([bytes.subarray(0, 30)]),
  );
});

test("payloads of whole frames are views, not copies", () => {
  const chunk = Buffer.from(frameBytes(1, 0, 1, new Uint8Array(10)));
  new FrameDecoder(
    {
      frame(_type, _flags, _id, bytes) {
        expect(bytes).toBe(chunk);
        return true;
      },
    },
    100,
  ).push(chunk);
  expect.assertions(1);
});

test("a frame beyond the limit is refused by its header, before a byte of it is kept", () => {
  const decoder = new FrameDecoder({ frame: () => true }, 1_000);
  const header = frameBytes(2, 0, 1, new Uint8Array(1_001)).subarray(0, 9);
  decoder.push(header.subarray(0, 8));
  expect(() => decoder.push(header.subarray(8))).toThrow("a frame of type 2 has 1001 bytes; at most 1000 are taken");
  decoder.push(new Uint8Array(5_000));
  expect(decoder.held).toBeLessThan(10);
});

test("nothing is decoded after the sink has said so", () => {
  let seen = 0;
  const decoder = new FrameDecoder({ frame: () => ++seen < 2 }, 1_000);
  decoder.push(Buffer.concat([frameBytes(1, 0, 1), frameBytes(1, 0, 1), frameBytes(1, 0, 1)]));
  decoder.push(frameBytes(1, 0, 1));
  expect(seen).toBe(2);
});
