import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { callKind } from "../../src/link/frame.js";
import { okEnd } from "../../src/link/head-codec.js";
import { frameBytes, framesIn, fromHex, helloBytes } from "../support/link-frames.js";
import { hostileLinkBytes } from "../support/link-hostile.js";
import { linkPair, openLinkPair, recorder } from "../support/link-pair.js";
import { manualClock } from "../support/manual-clock.js";

const limits = {
  streamWindowBytes: 4_096,
  linkWindowBytes: 16_384,
  maxStreams: 8,
  maxMessageBytes: 8_192,
  tableSlots: 4,
};

/** Gives an acceptor these chunks after a greeting, and checks what must hold whatever they are. */
function survives(chunks: readonly Uint8Array[]): string {
  const clock = manualClock();
  const { acceptor } = linkPair({ clock, limits, consumes: false });
  const deliver = acceptor.transport.events?.data;
  deliver?.(helloBytes());
  for (const chunk of chunks) deliver?.(chunk);
  const { openStreams, unreadBytes } = acceptor.session.stats;
  expect(acceptor.errors).toEqual([]);
  expect(openStreams).toBeLessThanOrEqual(limits.maxStreams);
  expect(unreadBytes).toBeLessThanOrEqual(limits.linkWindowBytes);
  for (const { handler } of acceptor.calls) {
    const over = handler.log.findIndex((line) => line.startsWith("reset"));
    expect(over === -1 || over === handler.log.length - 1).toBe(true);
  }
  const outcome = JSON.stringify([acceptor.closed, acceptor.calls.map(({ handler }) => handler.log), openStreams]);
  acceptor.transport.cut();
  expect(acceptor.closed).toHaveLength(1);
  expect(acceptor.session.stats.openStreams).toBe(0);
  for (const { stream } of acceptor.calls) expect(stream.closed).toBe(true);
  return outcome;
}

const chunked = (bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] => {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return places.slice(1).map((to, index) => bytes.subarray(places[index], to));
};

/** Frames of a real conversation, greeting left out. */
async function conversation(): Promise<Uint8Array[]> {
  const { dialler, acceptor, settle } = await openLinkPair({ limits });
  const sent: Uint8Array[] = [];
  const { peer } = dialler.transport;
  const { events } = peer as NonNullable<typeof peer>;
  const take = events?.data;
  if (events !== undefined) {
    events.data = (bytes) => {
      sent.push(Uint8Array.from(bytes));
      take?.(bytes);
    };
  }
  for (let index = 0; index < 4; index++) {
    const fields = ["x-name", "value", "x-index", String(index)];
    const head = { kind: callKind.bidi, path: "/log.v1.Log/Write", deadlineMs: 1_000 * index, fields };
    const answer = recorder();
    answer.stream = dialler.session.open(head, answer, new Uint8Array(index * 700), index === 0);
    await settle();
    acceptor.calls[index]?.stream.send(new Uint8Array(10));
    if (index === 1) answer.stream.reset(0, "enough");
    if (index === 2) answer.stream.end({ ...okEnd, trailers: ["x-t", "1"] });
    await settle();
  }
  return framesIn(sent).map(({ type, flags, id, payload }) => frameBytes(type, flags, id, payload));
}

describe("a session", () => {
  test.each(Object.entries(hostileLinkBytes))("survives %s", (_, hex) => {
    const bytes = fromHex(hex);
    const whole = survives([bytes]);
    expect(survives(Array.from(bytes, (byte) => Uint8Array.of(byte)))).toBe(whole);
  });

  test("survives arbitrary bytes, and makes the same of them however they are cut", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.array(fc.nat(), { maxLength: 6 }), (bytes, cuts) => {
        expect(survives(chunked(bytes, cuts))).toBe(survives([bytes]));
      }),
      { numRuns: 400 },
    );
  });

  test("survives frames with arbitrary insides", () => {
    const frame = fc
      .tuple(
        fc.integer({ min: 0, max: 9 }),
        fc.integer({ min: 0, max: 31 }),
        fc.integer({ min: 0, max: 6 }),
        fc.uint8Array({ maxLength: 60 }),
      )
      .map(([type, flags, id, payload]) => frameBytes(type, flags, id, payload));
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 12 }), fc.array(fc.nat(), { maxLength: 4 }), (frames, cuts) => {
        const bytes = Buffer.concat(frames);
        expect(survives(chunked(bytes, cuts))).toBe(survives([bytes]));
      }),
      { numRuns: 400 },
    );
  });

  test("survives a real conversation with bytes changed, frames lost, doubled and swapped", async () => {
    const frames = await conversation();
    expect(frames.length).toBeGreaterThan(5);
    expect(survives(frames)).toContain("end 0");
    const change = fc.record({ at: fc.nat(), to: fc.integer({ min: 0, max: 255 }) });
    const order = fc.array(fc.nat({ max: frames.length - 1 }), { minLength: 1, maxLength: frames.length * 2 });
    fc.assert(
      fc.property(order, fc.array(change, { maxLength: 4 }), fc.boolean(), (picked, changes, keepsOrder) => {
        const all = keepsOrder ? frames : picked.map((index) => frames[index] as Uint8Array);
        const bytes = Buffer.concat(all);
        for (const { at, to } of changes) bytes[at % bytes.length] = to;
        survives([bytes]);
      }),
      { numRuns: 600 },
    );
  });
});
