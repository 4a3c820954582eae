import { expect, test } from "vitest";
import { callKind, resetCode } from "../../../src/link/frame.js";
import { okEnd } from "../../../src/link/head-codec.js";
import type { LinkStreamHandler } from "../../../src/link/link-stream.js";
import { MemoryStream } from "../../../src/link/memory-stream.js";

/** A handler that writes down what it is given. */
function recorder(pieces = false) {
  const seen: string[] = [];
  const handler: LinkStreamHandler = {
    pieces,
    onHead: (fields, informational) => seen.push(`head ${fields.join(" ")}${informational ? " (more follows)" : ""}`),
    onData: (bytes, endOfMessage) => seen.push(`${Buffer.from(bytes).toString()}${endOfMessage ? "." : "-"}`),
    onEnd: ({ code }) => seen.push(`end ${code}`),
    onReset: (code, message) => seen.push(`reset ${code} ${message}`),
    onDrain: () => seen.push("drain"),
  };
  return { seen, handler };
}

function openPair({ maxMessageBytes = 100, takesPieces = true } = {}) {
  const head = { kind: callKind.bidi, path: "/services/echo/any/Talk", deadlineMs: 0, fields: [] };
  const [near, far] = MemoryStream.pair(head, maxMessageBytes);
  const [caller, taker] = [recorder(), recorder(takesPieces)];
  near.handler = caller.handler;
  far.handler = taker.handler;
  return { near, far, caller: caller.seen, taker: taker.seen };
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

test("a call goes from one end to the other and back", () => {
  const { near, far, caller, taker } = openPair();
  near.end(okEnd, bytes("question"));
  expect(taker).toEqual(["question.", "end 0"]);
  far.sendHead([":status", "103"], true);
  far.sendHead(["x", "1"]);
  far.sendHead(["x", "2"]);
  far.end({ ...okEnd, code: 5 }, bytes("answer"));
  expect(caller).toEqual(["head :status 103 (more follows)", "head x 1", "answer.", "end 5"]);
  expect([near.closed, far.closed]).toEqual([true, true]);
});

test("how the other side ends is known while its last message is handed over", () => {
  const { near, far } = openPair();
  let end: unknown;
  far.handler = { ...far.handler, onData: () => (end = far.peerEnd) };
  near.send(bytes("a"));
  expect(end).toBeUndefined();
  near.end(okEnd, bytes("b"));
  expect(end).toBe(okEnd);
});

test("who sends waits until everything is consumed, and is told then", () => {
  const { near, far, caller } = openPair();
  expect(near.send(bytes("a"))).toBe(false);
  expect(near.send(bytes(""))).toBe(false);
  expect(caller).toEqual([]);
  far.consume();
  expect(caller).toEqual(["drain"]);
  far.consume();
  expect(caller).toEqual(["drain"]);
  far.handler = { ...far.handler, onData: () => far.consume() };
  expect(near.send(bytes("b"))).toBe(true);
  expect(caller).toEqual(["drain"]);
});

test("even an empty message waits to be consumed", () => {
  const { near } = openPair();
  expect(near.send(bytes(""))).toBe(false);
});

test("pieces become whole messages for those who ask for them, and unread messages hold up the next one", () => {
  const { near, far, caller, taker } = openPair();
  expect(far.send(bytes("a"), false)).toBe(true);
  expect(far.send(bytes("b"), false)).toBe(true);
  expect(far.send(bytes("c"), true)).toBe(false);
  expect(caller).toEqual(["abc."]);
  expect(far.send(bytes("d"), false)).toBe(false);
  near.consume();
  expect(taker).toEqual(["drain"]);
  expect(far.send(bytes("e"))).toBe(false);
  expect(caller).toEqual(["abc.", "de."]);
});

test("a message that is too large ends the call on both sides, whole or in pieces", () => {
  for (const pieces of [["0123456789a"], ["0123456789", "a"], ["01234567", "89a", "more"]]) {
    const { far, caller, taker } = openPair({ maxMessageBytes: 10 });
    for (const [index, piece] of pieces.entries()) far.send(bytes(piece), index === pieces.length - 1);
    const reset = `reset ${resetCode.tooLarge} a message has more than 10 bytes`;
    expect([caller, taker]).toEqual([[reset], [reset]]);
  }
});

test("an end inside a message is none", () => {
  const { far, caller, taker } = openPair();
  far.send(bytes("a"), false);
  far.end();
  const reset = `reset ${resetCode.protocol} the stream ended inside a message`;
  expect([caller, taker]).toEqual([[reset], [reset]]);
});

test("who gives up is told nothing more, and the other side once", () => {
  const { near, far, caller, taker } = openPair();
  near.send(bytes("a"));
  near.reset(resetCode.cancelled, "enough");
  near.reset(resetCode.internal, "again");
  far.sendHead([]);
  far.end(okEnd, bytes("b"));
  far.consume();
  expect(far.send(bytes("c"))).toBe(true);
  expect(taker).toEqual(["a.", `reset ${resetCode.cancelled} enough`]);
  expect(caller).toEqual([]);
});

test("a handler that ends the call at the last message hears of no end", () => {
  const { near, far, caller, taker } = openPair();
  far.handler = { ...far.handler, onData: () => far.end({ ...okEnd, code: 3 }) };
  near.end(okEnd, bytes("a"));
  expect(taker).toEqual([]);
  expect(caller).toEqual(["end 3"]);
});

test("a handler that takes less gets nothing of a message that is larger, and nothing after it", () => {
  const { near, far, taker } = openPair({ takesPieces: false });
  far.handler = { ...far.handler, maxMessageBytes: 4, onTooLarge: () => taker.push("too large") };
  near.send(bytes("1234"));
  near.send(bytes("123"), false);
  near.send(bytes("45"), false);
  expect(taker).toEqual(["1234.", "too large"]);
  // Who sends is not kept waiting by it.
  expect(near.send(bytes("6"), true)).toBe(true);
  expect(near.send(bytes("7"))).toBe(true);
  near.end();
  expect(taker).toEqual(["1234.", "too large", "end 0"]);
});
