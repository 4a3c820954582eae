import { expect, test } from "vitest";
import { type ForwardOptions, forwardCall } from "../../../src/link/forward-call.js";
import { callKind, closeCode, resetCode } from "../../../src/link/frame.js";
import { okEnd } from "../../../src/link/head-codec.js";
import type { LinkLimits } from "../../../src/link/link-limits.js";
import { framesIn } from "../../support/link-frames.js";
import { openLinkPair, type Recorded, recorder } from "../../support/link-pair.js";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const head = { kind: callKind.bidi, path: "/services/a/any/b", deadlineMs: 0, fields: ["x-a", "1"] };

/** A caller, a host that forwards, and a provider. */
async function chain(options: ForwardOptions = {}, limits: Partial<LinkLimits> = {}) {
  const back = await openLinkPair({ limits });
  const front = await openLinkPair({
    limits,
    onCall: (stream) => forwardCall(stream, back.dialler.session, { ...stream.head, path: "/b" }, options),
  });
  const settle = async (): Promise<void> => {
    for (let round = 0; round < 6; round++) {
      await front.settle();
      await back.settle();
    }
  };
  const open = (message?: Uint8Array, endOfStream = false, kind: 0 | 3 | 4 = callKind.bidi): Recorded => {
    const answer = recorder();
    answer.stream = front.dialler.session.open({ ...head, kind }, answer, message, endOfStream);
    return answer;
  };
  const idle = () =>
    [front.dialler, front.acceptor, back.dialler, back.acceptor].map(({ session }) => {
      const { openStreams, unreadBytes } = session.stats;
      return [openStreams, unreadBytes];
    });
  return { front, back, settle, open, idle };
}

const nothing = [0, 1, 2, 3].map(() => [0, 0]);

test("an ordinary call stays one frame each way", async () => {
  const { front, back, open, settle, idle } = await chain();
  const answer = open(bytes("ask"), true);
  await front.settle();
  await new Promise((resolve) => setImmediate(resolve));
  expect(framesIn(back.dialler.transport.sent).map(({ type, flags }) => [type, flags])).toEqual([[1, 3]]);
  await back.settle();
  const call = back.acceptor.calls[0];
  expect(call?.stream.head).toMatchObject({ path: "/b", fields: ["x-a", "1"] });
  call?.stream.sendHead(["x-h", "2"]);
  call?.stream.end({ ...okEnd, trailers: ["x-t", "3"] }, bytes("tell"));
  await new Promise((resolve) => setImmediate(resolve));
  back.acceptor.transport.deliver();
  await new Promise((resolve) => setImmediate(resolve));
  expect(framesIn(front.acceptor.transport.sent).map(({ type, flags }) => [type, flags])).toEqual([[2, 1 + 4 + 8]]);
  await settle();
  expect(answer.log).toEqual(["head x-h 2", "data tell", "end 0  x-t 3"]);
  expect(idle()).toEqual(nothing);
});

test("streams, informational heads and ends go through in both directions", async () => {
  const ended: unknown[] = [];
  const { back, open, settle, idle } = await chain({
    answerHead: (fields, informational) => (informational ? fields : [...fields, "via", "host"]),
    onEnd: (end) => ended.push(end.code),
  });
  const answer = open();
  await settle();
  const call = back.acceptor.calls[0];
  call?.stream.sendHead([":status", "103"], true);
  call?.stream.sendHead([]);
  answer.stream?.send(bytes("one"));
  answer.stream?.send(bytes(""));
  await settle();
  answer.stream?.end();
  call?.stream.send(bytes("uno"));
  await settle();
  call?.stream.end({ ...okEnd, code: 5, message: "none" });
  await settle();
  expect(call?.handler.log).toEqual(["data one", "data ", "end 0"]);
  expect(answer.log).toEqual(["1xx :status 103", "head via host", "data uno", "end 5 none"]);
  expect(ended).toEqual([5]);
  expect(idle()).toEqual(nothing);
});

test.each(["caller", "provider"] as const)("a cancel of the %s goes through with its code", async (who) => {
  const resets: unknown[] = [];
  const { back, open, settle, idle } = await chain({ onReset: (code, _, by) => resets.push([code, by]) });
  const answer = open(bytes("x"));
  await settle();
  const call = back.acceptor.calls[0];
  const code = who === "caller" ? resetCode.cancelled : resetCode.refused;
  (who === "caller" ? answer.stream : call?.stream)?.reset(code, "why");
  await settle();
  expect((who === "caller" ? call?.handler : answer)?.log.at(-1)).toBe(`reset ${code} why`);
  expect(resets).toEqual([[code, who]]);
  expect(idle()).toEqual(nothing);
});

test("when the provider's link ends, its callers hear that it is unavailable and their links live on", async () => {
  const { front, back, open, settle } = await chain();
  const answer = open(bytes("x"));
  await settle();
  back.acceptor.session.close("revoked", closeCode.revoked);
  await settle();
  expect(answer.log).toEqual([`reset ${resetCode.unavailable} the link ended: revoked`]);
  expect(front.acceptor.session.state).toBe("open");
  const late = open(bytes("y"), true);
  await settle();
  expect(late.log).toEqual([`reset ${resetCode.internal} the receiver failed`]);
});

test("a provider that does not read holds up its caller, with a window on each link and nothing in between", async () => {
  const window = 20_000;
  const { front, back, open, settle, idle } = await chain({}, { streamWindowBytes: window });
  // Whole messages are given back while they are put together, so this provider takes pieces and keeps them.
  const taken: number[] = [];
  const call = open(undefined);
  await settle();
  Object.assign(back.acceptor.calls[0]?.handler ?? {}, {
    pieces: true,
    onData: (piece: Uint8Array) => void taken.push(piece.length),
  });
  const drained = call.stream?.send(new Uint8Array(1_000_000));
  expect(drained).toBe(false);
  await settle();
  const sum = () => taken.reduce((total, length) => total + length, 0);
  expect(sum()).toBeLessThanOrEqual(window);
  expect(call.stream?.queuedBytes).toBeGreaterThan(1_000_000 - 2 * window);
  expect(front.acceptor.session.stats.unreadBytes).toBeLessThanOrEqual(window);
  for (let round = 0; round < 200 && sum() < 1_000_000; round++) {
    back.acceptor.calls[0]?.stream.consume();
    await settle();
  }
  expect(sum()).toBe(1_000_000);
  call.stream?.reset(resetCode.cancelled);
  await settle();
  expect(idle()).toEqual(nothing);
});

test("an HTTP exchange passes with its bytes and trailers, and without borders of messages", async () => {
  const { front, back, open, settle, idle } = await chain();
  // OPEN and PART with END_OF_MESSAGE.
  let borders = 0;
  for (const { transport } of [front.dialler, front.acceptor, back.dialler, back.acceptor]) {
    const send = transport.send.bind(transport);
    transport.send = (chunk) => {
      borders += framesIn([chunk]).filter(({ type, flags }) => type <= 2 && (flags & 1) !== 0).length;
      return send(chunk);
    };
  }
  const answer = open(bytes("body"), false, callKind.http);
  await settle();
  answer.stream?.end({ ...okEnd, trailers: ["x-sum", "4"] });
  await settle();
  const call = back.acceptor.calls[0];
  expect(call?.handler.log).toEqual(["piece body", "end 0  x-sum 4"]);
  call?.stream.sendHead([":status", "200"]);
  call?.stream.end({ ...okEnd, trailers: ["grpc-status", "0"] }, bytes("answer"));
  await settle();
  expect(answer.log).toEqual(["head :status 200", "piece answer", "end 0  grpc-status 0"]);
  expect(borders).toBe(0);
  expect(idle()).toEqual(nothing);
});
