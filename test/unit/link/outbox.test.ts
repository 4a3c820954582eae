import { expect, test } from "vitest";
import { callKind, frameType, resetCode } from "../../../src/link/frame.js";
import type { LinkStream } from "../../../src/link/link-stream.js";
import { framesIn } from "../../support/link-frames.js";
import { type LinkEndpoint, openLinkPair, recorder } from "../../support/link-pair.js";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const head = (path = "/a") => ({ kind: callKind.bidi, path, deadlineMs: 0, fields: [] });
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Ids of the frames with bytes that an end has sent, in order. */
const senders = ({ transport }: LinkEndpoint): number[] =>
  framesIn(transport.sent)
    .filter(({ type, payload }) => type === frameType.part && payload.length > 0)
    .map(({ id }) => id);

test("large messages of several streams take turns, and a small one does not wait for them", async () => {
  const { dialler, settle } = await openLinkPair({ limits: { streamWindowBytes: 1_000_000 } });
  const streams = [1, 2, 3].map(() => dialler.session.open(head(), recorder()));
  await settle();
  for (const stream of streams) stream.send(new Uint8Array(100_000));
  dialler.session.open(head("/small"), recorder(), bytes("small"), true);
  await turn();
  const order = senders(dialler);
  expect(order).toHaveLength(21);
  for (let round = 0; round < 7; round++) {
    expect(new Set(order.slice(round * 3, round * 3 + 3))).toEqual(new Set([1, 3, 5]));
  }
  const [firstBatch] = dialler.transport.sent as [Uint8Array];
  expect(framesIn([firstBatch]).some(({ type }) => type === frameType.open)).toBe(true);
});

test("while the transport takes nothing, messages wait with their streams and drains come later", async () => {
  const { dialler, acceptor, settle } = await openLinkPair({ limits: { streamWindowBytes: 1_000_000 } });
  const answer = recorder();
  const stream = dialler.session.open(head(), answer);
  await settle();
  dialler.transport.capacityBytes = 50_000;
  expect(stream.send(new Uint8Array(400_000))).toBe(false);
  await turn();
  // One batch went over the brim; no other was made.
  expect(dialler.transport.sent).toHaveLength(1);
  expect(dialler.transport.waitingBytes).toBeLessThan(65_536 + 16_384 + 100);
  expect(stream.queuedBytes).toBeGreaterThan(300_000);
  expect(answer.log).toEqual([]);
  await settle();
  expect(answer.log).toEqual(["drain"]);
  expect(acceptor.calls[0]?.handler.messages[0]).toHaveLength(400_000);
  expect(stream.queuedBytes).toBe(0);
});

test("a stream that nobody reads holds its window and nothing else", async () => {
  const { dialler, acceptor, settle } = await openLinkPair({
    onCall: (stream) =>
      stream.head.path === "/stuck"
        ? { pieces: true, onData() {}, onEnd() {}, onReset() {} }
        : {
            onData: (message) => {
              stream.end(undefined, message);
              stream.consume();
            },
            onEnd() {},
            onReset() {},
          },
  });
  const stuck = [1, 2, 3].map(() => dialler.session.open(head("/stuck"), recorder(), new Uint8Array(500_000)));
  await settle();
  for (const stream of stuck) expect(stream.queuedBytes).toBeGreaterThan(430_000);
  const answers = Array.from({ length: 50 }, () => {
    const answer = recorder();
    answer.stream = dialler.session.open(head("/echo"), answer, new Uint8Array(3_000), true);
    return answer;
  });
  await settle();
  expect(answers.every(({ log }) => log.join() === "data 3000,end 0")).toBe(true);
  expect(acceptor.session.stats.unreadBytes).toBeLessThanOrEqual(3 * 65_536);
  for (const stream of stuck) stream.reset(resetCode.cancelled);
  await settle();
  expect(acceptor.session.stats).toMatchObject({ openStreams: 0, unreadBytes: 0 });
});

test("what waits for room of the link goes on when others are read, though some never are", async () => {
  const takers = new Map<string, LinkStream>();
  const received: Record<string, number> = { "/stuck": 0, "/stuck-too": 0, "/read": 0, "/waits": 0 };
  const { dialler, settle } = await openLinkPair({
    limits: { streamWindowBytes: 4_000, linkWindowBytes: 6_000 },
    onCall(stream) {
      const { path } = stream.head;
      takers.set(path, stream);
      const onData = (piece: Uint8Array): void => {
        received[path] = (received[path] ?? 0) + piece.length;
      };
      return { pieces: true, onData, onEnd() {}, onReset() {} };
    },
  });
  const streams = Object.keys(received).map((path) => dialler.session.open(head(path), recorder()));
  await settle();
  for (const stream of streams) stream.send(new Uint8Array(2_500));
  await settle();
  expect(received).toEqual({ "/stuck": 2_500, "/stuck-too": 2_500, "/read": 952, "/waits": 0 });
  for (let round = 0; round < 40; round++) {
    takers.get("/read")?.consume();
    takers.get("/waits")?.consume();
    await settle();
  }
  expect(received).toEqual({ "/stuck": 2_500, "/stuck-too": 2_500, "/read": 2_500, "/waits": 2_500 });
});

test("a small view of a large chunk that has to wait is copied", async () => {
  const { dialler, settle } = await openLinkPair();
  const stream = dialler.session.open(head(), recorder());
  await settle();
  dialler.transport.capacityBytes = 0;
  stream.send(bytes("x"));
  await turn();
  const chunk = new Uint8Array(100_000);
  stream.send(chunk.subarray(10, 20));
  chunk.fill(7);
  await turn();
  dialler.transport.capacityBytes = Number.POSITIVE_INFINITY;
  dialler.transport.sent.length = 0;
  dialler.transport.events?.drain();
  await turn();
  expect(framesIn(dialler.transport.sent)[0]?.payload).toEqual(new Uint8Array(10));
});

test("a peer that asks and never reads is let go before its answers fill the memory", async () => {
  const { acceptor } = await openLinkPair({ limits: { maxStreams: 1, maxResetsPerSecond: Number.POSITIVE_INFINITY } });
  acceptor.transport.capacityBytes = 0;
  const { dialler } = await openLinkPair();
  dialler.session.open(head(), recorder(), bytes("x"));
  await turn();
  const [opening] = dialler.transport.sent as [Uint8Array];
  for (let id = 1; id < 200_000 && acceptor.closed.length === 0; id += 2) {
    opening[7] = id >>> 8;
    opening[8] = id;
    opening[6] = id >>> 16;
    acceptor.transport.events?.data(Uint8Array.from(opening));
    if (id === 1) await turn();
    if (id === 1) acceptor.session.open(head("/blocks"), recorder(), bytes("x"));
    if (id === 1) await turn();
  }
  expect(acceptor.closed).toMatchObject([{ message: "the other side sends, but takes nothing" }]);
});
