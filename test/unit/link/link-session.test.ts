import { describe, expect, test } from "vitest";
import { callKind, closeCode, resetCode } from "../../../src/link/frame.js";
import { okEnd } from "../../../src/link/head-codec.js";
import { linkPair, openLinkPair, recorder } from "../../support/link-pair.js";
import { manualClock } from "../../support/manual-clock.js";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const head = (
  more: { path?: string; deadlineMs?: number; fields?: readonly string[]; kind?: 0 | 1 | 2 | 3 | 4 } = {},
) => ({
  kind: callKind.unary,
  path: "/echo.v1.Echo/Say",
  deadlineMs: 0,
  fields: [],
  ...more,
});
const echo = (stream: import("../../../src/link/link-stream.js").LinkStream) => ({
  onData(message: Uint8Array) {
    stream.sendHead(["x-a", "1"]);
    stream.end(undefined, message);
    stream.consume();
  },
  onEnd() {},
  onReset() {},
});

describe("calls", () => {
  test("an ordinary call is one frame in one write, each way", async () => {
    const { dialler, acceptor, settle } = await openLinkPair({ onCall: echo });
    const answer = recorder();
    answer.stream = dialler.session.open(head(), answer, bytes("hello"), true);
    await Promise.resolve();
    await new Promise((resolve) => setImmediate(resolve));
    expect(dialler.transport.sent.map((batch) => batch[0])).toEqual([1]);
    // Type `open`, end of message and end of stream, and the payload's length says that nothing follows.
    const [batch] = dialler.transport.sent as [Uint8Array];
    expect([batch[1], (batch[3] as number) * 256 + (batch[4] as number) + 9]).toEqual([3, batch.length]);
    dialler.transport.deliver();
    await new Promise((resolve) => setImmediate(resolve));
    expect(acceptor.transport.sent.map((sent) => [sent[0], sent[1]])).toEqual([[2, 1 + 2 + 4]]);
    await settle();
    expect(answer.log).toEqual(["head x-a 1", "data hello", "end 0"]);
    expect([dialler.session.stats, acceptor.session.stats]).toMatchObject([
      { openStreams: 0, unreadBytes: 0 },
      { openStreams: 0, unreadBytes: 0 },
    ]);
  });

  test("calls that are made in one tick leave in one write, also when promises lie between", async () => {
    const { dialler } = await openLinkPair({ onCall: echo });
    for (let index = 0; index < 20; index++) {
      dialler.session.open(head(), recorder(), bytes("a"), true);
      await Promise.resolve();
      await Promise.resolve();
    }
    await new Promise((resolve) => setImmediate(resolve));
    expect(dialler.transport.sent).toHaveLength(1);
  });

  test("both sides open calls", async () => {
    const { dialler, acceptor, settle } = await openLinkPair();
    acceptor.session.open(head(), recorder(), bytes("to the dialler"), true);
    dialler.session.open(head(), recorder(), bytes("to the acceptor"), true);
    await settle();
    expect(dialler.calls[0]?.handler.log).toEqual(["data to the dialler", "end 0"]);
    expect(acceptor.calls[0]?.handler.log).toEqual(["data to the acceptor", "end 0"]);
  });

  test("a stream carries messages both ways until each side has ended", async () => {
    const { dialler, acceptor, settle } = await openLinkPair();
    const answer = recorder();
    const stream = dialler.session.open(head({ kind: callKind.bidi, fields: ["x-b", "2"] }), answer);
    answer.stream = stream;
    await settle();
    const call = acceptor.calls[0] as NonNullable<(typeof acceptor.calls)[0]>;
    expect(call.stream.head).toEqual(head({ kind: callKind.bidi, fields: ["x-b", "2"] }));
    call.stream.sendHead([":status", "103"], true);
    call.stream.sendHead(["x-c", "3"]);
    await settle();
    expect(answer.log).toEqual(["1xx :status 103", "head x-c 3"]);
    stream.send(bytes("one"));
    await settle();
    call.stream.send(bytes("uno"));
    stream.send(new Uint8Array(0));
    stream.end();
    await settle();
    expect(call.handler.log).toEqual(["data one", "data ", "end 0"]);
    expect(call.stream.peerEnd).toBe(okEnd);
    call.stream.send(bytes("due"));
    call.stream.end({ code: 5, message: "nö", details: bytes("why"), trailers: ["x-t", "ü"] });
    await settle();
    expect(answer.log.slice(2)).toEqual(["data uno", "data due", "end 5 nö x-t ü"]);
    expect(stream.peerEnd?.details).toEqual(bytes("why"));
    expect(dialler.session.stats.openStreams + acceptor.session.stats.openStreams).toBe(0);
  });

  test("a message larger than the window arrives whole, and in pieces where pieces are asked for", async () => {
    const large = Uint8Array.from({ length: 300_000 }, (_, index) => index);
    const { dialler, acceptor, settle } = await openLinkPair({ limits: { streamWindowBytes: 20_000 } });
    dialler.session.open(head(), recorder(), large, true);
    await settle();
    expect(acceptor.calls[0]?.handler.messages).toEqual([large]);
    const pieces = await openLinkPair({ limits: { streamWindowBytes: 20_000 }, onCall: () => inPieces });
    const inPieces = recorder({ pieces: true });
    inPieces.stream = undefined;
    const stream = pieces.dialler.session.open(head(), recorder(), large, true);
    await pieces.settle();
    // Nothing was consumed: no more than the window has come.
    const received = inPieces.messages.reduce((sum, piece) => sum + piece.length, 0);
    expect(received).toBeGreaterThan(19_000);
    expect(received).toBeLessThanOrEqual(20_000);
    expect(stream.queuedBytes).toBe(300_000 - received);
  });

  test("who answers may end before the request has, and what still comes is dropped", async () => {
    const { dialler, acceptor, settle } = await openLinkPair();
    const answer = recorder();
    const stream = dialler.session.open(head({ kind: callKind.clientStream }), answer, bytes("one"));
    await settle();
    acceptor.calls[0]?.stream.end({ ...okEnd, code: 3, message: "enough" });
    stream.send(bytes("two"));
    stream.end();
    await settle();
    expect(answer.log).toEqual(["end 3 enough"]);
    expect(acceptor.calls[0]?.handler.log).toEqual(["data one"]);
    expect(stream.closed).toBe(true);
    expect(acceptor.session.stats).toMatchObject({ openStreams: 0, unreadBytes: 0 });
    expect(acceptor.closed).toEqual([]);
  });

  test.each(["dialler", "acceptor"] as const)(
    "a cancel of the %s reaches the other side with its code",
    async (who) => {
      const { dialler, acceptor, settle } = await openLinkPair();
      const answer = recorder();
      const stream = dialler.session.open(head(), answer, bytes("x"));
      await settle();
      const taken = acceptor.calls[0] as NonNullable<(typeof acceptor.calls)[0]>;
      (who === "dialler" ? stream : taken.stream).reset(resetCode.cancelled, "changed my mind");
      await settle();
      const [silent, told] = who === "dialler" ? [answer, taken.handler] : [taken.handler, answer];
      expect(told.log.at(-1)).toBe("reset 0 changed my mind");
      expect(silent.log.join()).not.toContain("reset");
      expect([dialler.session.stats.openStreams, acceptor.session.stats.openStreams]).toEqual([0, 0]);
    },
  );

  test("a call that is cancelled before it was sent is never seen by the other side", async () => {
    const { dialler, acceptor, settle } = await openLinkPair();
    dialler.session.open(head(), recorder()).reset(resetCode.cancelled);
    await settle();
    expect(acceptor.calls).toEqual([]);
    expect(acceptor.session.stats.bytesReceived).toBe(dialler.session.stats.bytesSent);
  });

  test("a handler that throws loses its own stream and nothing else", async () => {
    const { dialler, acceptor, settle } = await openLinkPair({
      onCall: (stream) => {
        if (stream.head.path === "/at-once") throw new Error("at once");
        const fails = (): void => {
          throw new Error("later");
        };
        return stream.head.path === "/bad" ? { onData: fails, onEnd: fails, onReset: fails } : echo(stream);
      },
    });
    const answers = ["/at-once", "/bad", "/good"].map((path) => {
      const answer = recorder();
      answer.stream = dialler.session.open(head({ path }), answer, bytes("x"), true);
      return answer;
    });
    await settle();
    expect(answers.map(({ log }) => log)).toEqual([
      ["reset 5 the receiver failed"],
      ["reset 5 the receiver failed"],
      ["head x-a 1", "data x", "end 0"],
    ]);
    expect(acceptor.errors).toHaveLength(2);
  });

  test.each([
    { wrong: { path: "no-slash" }, says: "cannot be a path" },
    { wrong: { path: "/a b" }, says: "cannot be a path" },
    { wrong: { fields: ["X-Upper", "1"] }, says: "cannot be a name" },
    { wrong: { fields: ["x", "a\r\nb: c"] }, says: "cannot be a value" },
    { wrong: { deadlineMs: -1 }, says: "deadlineMs is -1" },
    { wrong: { fields: [":method", "GET"] }, says: "cannot be a name" },
    { wrong: { fields: ["x", "y".repeat(140_000)] }, says: "at most" },
    { wrong: { fields: Array.from({ length: 2 * 4_097 }, () => "x") }, says: "at most" },
  ])("a head is refused before it is sent: $says", async ({ wrong, says }) => {
    const { dialler, acceptor, settle } = await openLinkPair();
    expect(() => dialler.session.open(head(wrong), recorder())).toThrow(says);
    await settle();
    expect([acceptor.calls, acceptor.closed, dialler.session.stats.openStreams]).toEqual([[], [], 0]);
  });

  test("an answer's head or end that is too large becomes an error of that call", async () => {
    const huge = "y".repeat(140_000);
    const { dialler, settle, acceptor } = await openLinkPair({
      onCall: (stream) => {
        if (stream.head.path === "/head") stream.sendHead(["x", huge]);
        else stream.end({ ...okEnd, trailers: ["x", huge] });
        return recorder();
      },
    });
    const answers = ["/head", "/end"].map((path) => {
      const answer = recorder();
      dialler.session.open(head({ path }), answer, bytes("x"), true);
      return answer;
    });
    await settle();
    expect(answers.map(({ log }) => log.join().slice(0, 24))).toEqual([
      "end 13 head of the answe",
      "end 13 end of the call: ",
    ]);
    expect(acceptor.closed).toEqual([]);
  });
});

describe("limits", () => {
  test("calls beyond what the other side takes wait, in order, and their deadlines run", async () => {
    const clock = manualClock();
    const { dialler, acceptor, settle } = await openLinkPair({
      clock,
      acceptorLimits: { maxStreams: 2 },
      limits: { maxWaitingCalls: 2 },
    });
    const answers = [0, 0, 500, 50].map((deadlineMs, index) => {
      const answer = recorder();
      dialler.session.open(head({ path: `/${index}`, deadlineMs }), answer, bytes("x"), true);
      return answer;
    });
    expect(() => dialler.session.open(head(), recorder())).toThrow(expect.objectContaining({ code: "LIMIT_REACHED" }));
    await settle();
    expect(acceptor.calls.map(({ stream }) => stream.head.path)).toEqual(["/0", "/1"]);
    expect(dialler.session.stats).toMatchObject({ openStreams: 2, waitingCalls: 2 });
    clock.advance(200);
    expect(answers[3]?.log).toEqual(["reset 2 the deadline of 50 ms has passed"]);
    acceptor.calls[0]?.stream.end();
    await settle();
    expect(acceptor.calls[2]?.stream.head).toMatchObject({ path: "/2", deadlineMs: 300 });
    expect(dialler.session.stats).toMatchObject({ openStreams: 2, waitingCalls: 0 });
  });

  test("a message beyond the limit ends its stream", async () => {
    const { dialler, acceptor, settle } = await openLinkPair({ acceptorLimits: { maxMessageBytes: 50_000 } });
    const answer = recorder();
    dialler.session.open(head(), answer, new Uint8Array(50_001), true);
    dialler.session.open(head(), recorder(), new Uint8Array(50_000), true);
    await settle();
    expect(answer.log).toEqual(["reset 4 a message has more than 50000 bytes"]);
    expect(acceptor.calls[0]?.handler.log).toEqual(["reset 4 a message has more than 50000 bytes"]);
    expect(acceptor.calls[1]?.handler.messages[0]).toHaveLength(50_000);
  });

  test("too many cancels in a second end the link, and time makes room for more", async () => {
    const clock = manualClock();
    const { dialler, acceptor, settle } = await openLinkPair({ clock, acceptorLimits: { maxResetsPerSecond: 10 } });
    const cancelTen = async (): Promise<void> => {
      for (let index = 0; index < 10; index++) {
        const stream = dialler.session.open(head(), recorder(), bytes("x"));
        await settle();
        stream.reset(resetCode.cancelled);
        await settle();
      }
    };
    await cancelTen();
    clock.advance(1_000);
    await cancelTen();
    expect(acceptor.closed).toEqual([]);
    await cancelTen().catch(() => {});
    expect(acceptor.closed).toEqual([{ code: closeCode.limit, message: "too many resets in a second", byPeer: false }]);
    expect(dialler.closed).toEqual([{ code: closeCode.limit, message: "too many resets in a second", byPeer: true }]);
  });

  test.each([
    { limits: { maxStreams: 0 }, field: "link.maxStreams" },
    { limits: { maxFrameBytes: 20_000 }, field: "link.maxFrameBytes" },
    { limits: { streamWindowBytes: 2 ** 31 }, field: "link.streamWindowBytes" },
    { limits: { keepAliveIntervalMs: Number.NaN }, field: "link.keepAliveIntervalMs" },
  ])("the option $field is checked", ({ limits, field }) => {
    expect(() => linkPair({ limits })).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT", field }));
  });
});

describe("deadlines", () => {
  test("each side ends the call by its own clock", async () => {
    const [clock, other] = [manualClock(), manualClock()];
    const { dialler, acceptor, settle } = await openLinkPair({ clock, acceptorClock: other });
    const [first, second] = [recorder(), recorder()];
    dialler.session.open(head({ deadlineMs: 100 }), first, bytes("x"), true);
    dialler.session.open(head({ deadlineMs: 20_000 }), second, bytes("x"), true);
    await settle();
    other.advance(99);
    expect(acceptor.calls[0]?.handler.log).toHaveLength(2);
    other.advance(15);
    expect(acceptor.calls[0]?.handler.log.at(-1)).toBe("reset 2 the deadline of 100 ms has passed");
    await settle();
    expect(first.log).toEqual(["reset 2 the deadline of 100 ms has passed"]);
    for (let second = 0; second < 19; second++) {
      clock.advance(1_000);
      await settle();
    }
    expect(second.log).toEqual([]);
    clock.advance(1_020);
    expect(second.log).toEqual(["reset 2 the deadline of 20000 ms has passed"]);
    await settle();
    expect(acceptor.calls[1]?.handler.log.at(-1)).toContain("reset 2");
  });
});
