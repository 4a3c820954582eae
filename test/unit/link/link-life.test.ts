import { expect, test } from "vitest";
import type { Clock } from "../../../src/internal/clock.js";
import { callKind, closeCode, frameType, resetCode } from "../../../src/link/frame.js";
import { frameBytes, framesIn, fromHex, helloBytes } from "../../support/link-frames.js";
import { linkPair, openLinkPair, recorder } from "../../support/link-pair.js";
import { manualClock } from "../../support/manual-clock.js";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const head = (path = "/a", kind: 0 | 3 = callKind.unary) => ({ kind, path, deadlineMs: 0, fields: [] });

test("an idle link is asked for a sign of life, and lives as long as it gives one", async () => {
  const clock = manualClock();
  const { dialler, acceptor, settle } = await openLinkPair({ clock });
  for (let second = 0; second < 60; second++) {
    clock.advance(1_000);
    await settle();
  }
  expect([dialler.session.state, acceptor.session.state]).toEqual(["open", "open"]);
  expect(dialler.session.stats.bytesReceived).toBeGreaterThan(100);
});

test("a busy link is not asked", async () => {
  const clock = manualClock();
  const { dialler, acceptor, settle } = await openLinkPair({ clock });
  const stream = dialler.session.open(head("/a", callKind.bidi), recorder());
  await settle();
  acceptor.transport.sent.length = 0;
  const types = new Set<number | undefined>();
  for (let second = 0; second < 30; second++) {
    stream.send(bytes("x"));
    acceptor.calls[0]?.stream.send(bytes("y"));
    await new Promise((resolve) => setImmediate(resolve));
    for (const batch of acceptor.transport.sent) types.add(batch[0]);
    await settle();
    clock.advance(1_000);
  }
  expect([...types]).toEqual([frameType.part]);
});

test("a peer that falls silent is found within ten seconds", async () => {
  const clock = manualClock();
  const { dialler } = await openLinkPair({ clock, acceptorClock: manualClock() });
  const answer = recorder();
  dialler.session.open(head(), answer, bytes("x"), true);
  clock.advance(3_000 + 6_999);
  expect(dialler.closed).toEqual([]);
  clock.advance(1);
  expect(dialler.closed).toEqual([
    { code: closeCode.timeout, message: "the other side has not answered a ping for 7000 ms", byPeer: false },
  ]);
  expect(answer.log).toEqual([expect.stringContaining(`reset ${resetCode.unavailable} the link ended`)]);
  expect(dialler.transport.closing).toBe(true);
  clock.advance(2_000);
  expect(dialler.transport.destroyed).toBe(true);
  expect(clock.pending).toBe(0);
});

test("a peer is asked three seconds after it was heard, and is dead seven seconds later, whenever that was", async () => {
  const clock = manualClock();
  const { dialler } = await openLinkPair({ clock, acceptorClock: manualClock() });
  const hears = (): void => dialler.transport.events?.data(frameBytes(frameType.pong, 0, 0, new Uint8Array(8)));
  const asked = async (): Promise<number> => {
    await new Promise((resolve) => setImmediate(resolve));
    return framesIn(dialler.transport.sent.splice(0)).filter(({ type }) => type === frameType.ping).length;
  };
  clock.advance(2_900);
  hears();
  clock.advance(2_999);
  expect(await asked()).toBe(0);
  clock.advance(1);
  expect(await asked()).toBe(1);
  // The answer to a question counts as anything else that comes.
  clock.advance(100);
  hears();
  clock.advance(2_999);
  expect(await asked()).toBe(0);
  clock.advance(1);
  expect(await asked()).toBe(1);
  clock.advance(6_999);
  expect(dialler.closed).toEqual([]);
  clock.advance(1);
  expect(dialler.closed).toMatchObject([{ code: closeCode.timeout }]);
  expect(await asked()).toBe(0);
});

test("a process that was busy itself asks once more before it gives a peer up", async () => {
  const timers = manualClock();
  let blockedMs = 0;
  // What a long computation does: time goes on, and timers do not fire.
  const clock: Clock = {
    now: () => timers.now() + blockedMs,
    monotonic: () => timers.monotonic() + blockedMs,
    after: (delayMs, fire) => timers.after(delayMs, fire),
  };
  const { dialler } = await openLinkPair({ clock, acceptorClock: manualClock() });
  timers.advance(9_999);
  blockedMs = 10_000;
  timers.advance(1);
  expect(dialler.closed).toEqual([]);
  timers.advance(7_000);
  expect(dialler.closed).toMatchObject([{ code: closeCode.timeout }]);
});

test("a peer that takes nothing for long loses the link, though it sends", async () => {
  const clock = manualClock();
  const { dialler, acceptor } = await openLinkPair({ clock, acceptorClock: manualClock() });
  dialler.transport.capacityBytes = 0;
  const stream = dialler.session.open(head("/a", callKind.bidi), recorder(), bytes("x"));
  await new Promise((resolve) => setImmediate(resolve));
  for (let second = 0; second < 40 && dialler.closed.length === 0; second++) {
    dialler.transport.events?.data(frameBytes(frameType.pong, 0, 0, new Uint8Array(8)));
    clock.advance(1_000);
  }
  expect(dialler.closed).toMatchObject([
    { code: closeCode.timeout, message: expect.stringContaining("taken nothing") },
  ]);
  expect(stream.closed).toBe(true);
  expect(acceptor.calls).toEqual([]);
});

test("a peer that does not greet in time is let go", () => {
  const clock = manualClock();
  const { dialler } = linkPair({ clock });
  clock.advance(10_000);
  expect(dialler.closed).toMatchObject([{ code: closeCode.timeout, message: "no greeting within 10000 ms" }]);
});

test("a side that stops finishes open calls, refuses new ones, and closes", async () => {
  const { dialler, acceptor, settle } = await openLinkPair();
  const [first, crossing] = [recorder(), recorder()];
  dialler.session.open(head("/first"), first, bytes("x"), true);
  await settle();
  acceptor.session.close("the host stops");
  dialler.session.open(head("/crossing"), crossing, bytes("x"), true);
  await settle();
  expect(dialler.goneAway).toEqual(["the host stops"]);
  expect([dialler.session.state, acceptor.session.state]).toEqual(["closing", "closing"]);
  expect(crossing.log).toEqual([expect.stringContaining(`reset ${resetCode.refused}`)]);
  expect(() => dialler.session.open(head(), recorder())).toThrow(
    expect.objectContaining({ code: "PLUGIN_UNREACHABLE" }),
  );
  expect(acceptor.calls.map(({ stream }) => stream.head.path)).toEqual(["/first"]);
  acceptor.calls[0]?.stream.end(undefined, bytes("done"));
  await settle();
  expect(first.log).toEqual(["data done", "end 0"]);
  expect(acceptor.closed).toEqual([{ code: closeCode.graceful, message: "every call has finished", byPeer: false }]);
  expect(dialler.closed).toMatchObject([{ code: closeCode.lost }]);
});

test("calls that outlive the grace are cut", async () => {
  const clock = manualClock();
  const { dialler, acceptor, settle } = await openLinkPair({ clock });
  dialler.session.open(head(), recorder(), bytes("x"), true);
  await settle();
  acceptor.session.close("", closeCode.graceful, 500);
  clock.advance(500);
  expect(acceptor.calls[0]?.handler.log.at(-1)).toContain(`reset ${resetCode.unavailable}`);
  expect(acceptor.session.state).toBe("closed");
});

test("an end with a reason ends both sides, and says which calls are safe to repeat", async () => {
  const { dialler, acceptor, settle } = await openLinkPair();
  const [taken, untouched] = [recorder(), recorder()];
  dialler.session.open(head("/taken"), taken, bytes("x"), true);
  await settle();
  dialler.session.open(head("/untouched"), untouched, bytes("x"), true);
  acceptor.session.close("identity revoked", closeCode.revoked);
  // The acceptor does not look at what still comes.
  await settle();
  expect(dialler.closed).toEqual([{ code: closeCode.revoked, message: "identity revoked", byPeer: true }]);
  expect(taken.log).toEqual([`reset ${resetCode.unavailable} the link ended: identity revoked`]);
  expect(untouched.log).toEqual([`reset ${resetCode.refused} the link ended: identity revoked`]);
});

test("a lost connection ends every call, and those that were not sent as refused", async () => {
  const { dialler, acceptor, settle } = await openLinkPair();
  const [sent, unsent] = [recorder(), recorder()];
  dialler.session.open(head(), sent, bytes("x"), true);
  await settle();
  dialler.session.open(head("/b", callKind.bidi), unsent);
  dialler.transport.cut(new Error("ECONNRESET"));
  expect(sent.log).toEqual([`reset ${resetCode.unavailable} the link ended: ECONNRESET`]);
  expect(unsent.log).toEqual([`reset ${resetCode.refused} the link ended: ECONNRESET`]);
  expect(acceptor.calls[0]?.handler.log.at(-1)).toContain("ECONNRESET");
  expect(dialler.closed).toEqual([{ code: closeCode.lost, message: "ECONNRESET", byPeer: false }]);
});

test("nothing ticks after the end", async () => {
  const clock = manualClock();
  const { dialler, settle } = await openLinkPair({ clock });
  dialler.session.open({ ...head(), deadlineMs: 5_000 }, recorder(), bytes("x"), true);
  await settle();
  dialler.session.close("enough", closeCode.internal);
  await settle();
  expect(clock.pending).toBe(0);
});

const part = (flags: number, id: number, payload = "") => frameBytes(frameType.part, flags, id, fromHex(payload));
const open = (id: number, payload: string, flags = 0) => frameBytes(frameType.open, flags, id, fromHex(payload));
// Kind, no deadline, path "/" as a literal of one byte, no fields.
const goodHead = "000005 00 00 04 2f 00";

test.each([
  { why: "no greeting", frames: [part(1, 1)], code: closeCode.protocol, greets: false },
  {
    why: "another protocol",
    frames: [fromHex("474554202f20485454502f312e310d0a")],
    code: closeCode.limit,
    greets: false,
  },
  {
    why: "hello without the magic",
    frames: [frameBytes(0, 0, 0, fromHex("00000000 01"))],
    code: closeCode.protocol,
    greets: false,
  },
  { why: "version 0", frames: [frameBytes(0, 0, 0, fromHex("43504c4b 00"))], code: closeCode.version, greets: false },
  {
    why: "limits that do not fit",
    frames: [frameBytes(0, 0, 0, fromHex("43504c4b 01 01 05"))],
    code: closeCode.protocol,
    greets: false,
  },
  { why: "a second hello", frames: [helloBytes()], code: closeCode.protocol },
  { why: "a frame beyond the limit", frames: [fromHex("02 00 ffffff 00000001")], code: closeCode.limit },
  { why: "our own stream ids", frames: [open(2, goodHead)], code: closeCode.protocol },
  { why: "stream 0", frames: [open(0, goodHead)], code: closeCode.protocol },
  { why: "a stream id beyond 31 bits", frames: [open(0x80000001, goodHead)], code: closeCode.protocol },
  { why: "a stream that is open", frames: [open(1, goodHead), open(1, goodHead)], code: closeCode.protocol },
  { why: "an unknown kind", frames: [open(1, "000005 09 00 04 2f 00")], code: closeCode.protocol },
  { why: "unknown flags of open", frames: [open(1, goodHead, 4)], code: closeCode.protocol },
  { why: "unknown flags of part", frames: [open(1, goodHead), part(0x80, 1)], code: closeCode.protocol },
  { why: "a section beyond the frame", frames: [open(1, "0000ff 00 00 04 2f 00")], code: closeCode.protocol },
  { why: "a section cut short", frames: [open(1, "000003 00 00 04")], code: closeCode.protocol },
  { why: "a path without a slash", frames: [open(1, "000005 00 00 04 41 00")], code: closeCode.protocol },
  {
    why: "a number of eight bytes",
    frames: [open(1, "00000b 00 ffffffffffffff01 04 2f 00")],
    code: closeCode.protocol,
  },
  { why: "an empty slot of the table", frames: [open(1, "000004 00 00 16 00")], code: closeCode.protocol },
  { why: "an unknown mode of text", frames: [open(1, "000004 00 00 03 00")], code: closeCode.protocol },
  { why: "a slot beyond the table", frames: [open(1, "000008 00 00 8120 01 2f 00 00")], code: closeCode.limit },
  {
    why: "a text too long for the table",
    frames: [open(1, `000105 00 00 01 8102 ${"2f".repeat(257)}`)],
    code: closeCode.limit,
  },
  { why: "a name in capitals", frames: [open(1, "000009 00 00 04 2f 01 04 41 04 41")], code: closeCode.protocol },
  {
    why: "a name of HTTP's first line in a call of messages",
    frames: [open(1, "00000b 00 00 04 2f 01 0c 3a6d78 04 41")],
    code: closeCode.protocol,
  },
  {
    why: "a name of HTTP's first line among trailers",
    frames: [open(1, goodHead), part(8, 1, "00000a 00 00 00 01 0c 3a6d78 04 41")],
    code: closeCode.protocol,
  },
  { why: "a line break in a value", frames: [open(1, "000009 00 00 04 2f 01 04 61 04 0a")], code: closeCode.protocol },
  { why: "more fields than bytes", frames: [open(1, "000006 00 00 04 2f ff7f")], code: closeCode.limit },
  { why: "a part that says nothing", frames: [open(1, goodHead), part(0, 1)], code: closeCode.protocol },
  { why: "bytes after the end", frames: [open(1, goodHead, 2), part(1, 1, "61")], code: closeCode.protocol },
  {
    why: "a head from who opened the call",
    frames: [open(1, goodHead), part(4, 1, "000001 00")],
    code: closeCode.protocol,
  },
  {
    why: "an informational head with bytes",
    frames: [open(1, goodHead), part(0x15, 1, "000001 00 61")],
    code: closeCode.protocol,
  },
  {
    why: "a window of nothing",
    frames: [frameBytes(frameType.window, 0, 0, fromHex("00000000"))],
    code: closeCode.flowControl,
  },
  {
    why: "a window cut short",
    frames: [frameBytes(frameType.window, 0, 0, fromHex("0000"))],
    code: closeCode.protocol,
  },
  { why: "a ping cut short", frames: [frameBytes(frameType.ping, 0, 0)], code: closeCode.protocol },
  { why: "a reset without a code", frames: [frameBytes(frameType.reset, 0, 1)], code: closeCode.protocol },
  {
    why: "more than a stream's window",
    frames: [open(1, goodHead), part(1, 1, "61".repeat(40_000)), part(1, 1, "61".repeat(40_000))],
    code: closeCode.flowControl,
  },
  {
    why: "a flood of pings",
    frames: Array.from({ length: 101 }, () => frameBytes(frameType.ping, 0, 0, new Uint8Array(8))),
    code: closeCode.limit,
  },
  {
    why: "a flood of frames of a later version",
    frames: Array.from({ length: 101 }, () => frameBytes(99, 255, 7)),
    code: closeCode.limit,
  },
])("$why ends the link with a reason and calls no handler twice", async ({ frames, code, greets = true }) => {
  const pair = linkPair({ consumes: false });
  const { acceptor } = pair;
  if (greets) acceptor.transport.events?.data(helloBytes());
  for (const frame of frames) acceptor.transport.events?.data(frame);
  expect(acceptor.closed).toMatchObject([{ code, byPeer: false }]);
  expect(acceptor.closed[0]?.message).not.toBe("");
  const goAway = framesIn(acceptor.transport.sent).at(-1);
  expect(goAway?.type).toBe(frameType.goAway);
  expect(goAway?.payload[1]).toBe(code);
  expect(acceptor.transport.closing).toBe(true);
  expect(acceptor.errors).toEqual([]);
  const heard = acceptor.calls.map(({ handler }) => handler.log.filter((line) => line.startsWith("reset")).length);
  expect(heard.every((count) => count === 1)).toBe(true);
  // Whatever comes now is not looked at.
  acceptor.transport.events?.data(open(9, goodHead));
  expect(acceptor.session.stats.openStreams).toBe(0);
});

test("an answer to a call of messages may have no name of HTTP's first line in its head, but before it", async () => {
  const { dialler, settle } = await openLinkPair();
  const answer = recorder();
  dialler.session.open(head(), answer, bytes("x"), true);
  await settle();
  dialler.transport.events?.data(part(0x14, 1, "000006 01 0c 3a6d78 00"));
  expect(answer.log).toEqual(["1xx :mx "]);
  dialler.transport.events?.data(part(4, 1, "000006 01 0c 3a6d78 00"));
  expect(dialler.closed).toMatchObject([{ code: closeCode.protocol, message: '":mx" cannot be a name here' }]);
});

test("what a later version adds is skipped: frames, settings, bytes at the end of sections", () => {
  const { acceptor } = linkPair();
  const hello = frameBytes(0, 0, 0, fromHex("43504c4b 07 7f 01 05 03"));
  acceptor.transport.events?.data(hello);
  acceptor.transport.events?.data(frameBytes(99, 255, 7, fromHex("0102")));
  acceptor.transport.events?.data(open(1, "000009 00 00 04 2f 00 aabbccdd 61", 3));
  expect(acceptor.calls[0]?.handler.log).toEqual(["data a", "end 0"]);
  expect(acceptor.session.state).toBe("open");
});

test("opening beyond the limit refuses those calls, reads their heads, and leaves the others alone", () => {
  const { acceptor } = linkPair({ limits: { maxStreams: 1 } });
  acceptor.transport.events?.data(helloBytes());
  acceptor.transport.events?.data(open(1, goodHead));
  // Stores "/b" in slot 0, which the next call uses.
  acceptor.transport.events?.data(open(3, "000007 00 00 01 02 2f62 00"));
  acceptor.calls[0]?.stream.reset(resetCode.cancelled);
  acceptor.transport.events?.data(open(5, "000004 00 00 02 00"));
  expect(acceptor.calls.map(({ stream }) => stream.head.path)).toEqual(["/", "/b"]);
  expect(acceptor.closed).toEqual([]);
});
