import { describe, expect, test } from "vitest";
import { callKind, frameType, resetCode } from "../../../src/link/frame.js";
import { okEnd } from "../../../src/link/head-codec.js";
import type { LinkEnd, LinkStream } from "../../../src/link/link-stream.js";
import { frameBytes, framesIn, fromHex } from "../../support/link-frames.js";
import { type LinkPairOptions, linkPair, openLinkPair, recorder } from "../../support/link-pair.js";

const huge = "y".repeat(140_000);
const failed: LinkEnd = { code: 9, message: "why", details: undefined, trailers: ["x-t", "1"] };
const details = (length: number): Uint8Array => new Uint8Array(length).fill(7);

/** What a caller gets of an answer, and of an ordinary call beside it. */
async function answered(kind: 0 | 4, answer: (stream: LinkStream) => void, options: LinkPairOptions = {}) {
  const pair = await openLinkPair({
    ...options,
    onCall(stream) {
      if (stream.head.path === "/beside") stream.end();
      else answer(stream);
      return recorder();
    },
  });
  const ends: LinkEnd[] = [];
  const [call, beside] = [recorder(), recorder()];
  const open = (path: string, to: typeof call) => {
    const onEnd = (end: LinkEnd): void => {
      ends.push(end);
      to.onEnd(end);
    };
    pair.dialler.session.open({ kind, path, deadlineMs: 0, fields: [] }, { ...to, onEnd }, undefined, true);
  };
  open("/", call);
  await pair.settle();
  open("/beside", beside);
  await pair.settle();
  expect([beside.log, pair.dialler.closed, pair.acceptor.closed]).toEqual([["end 0"], [], []]);
  return { log: call.log, end: ends[0] as LinkEnd };
}

describe("the error of a call of messages", () => {
  test("arrives with details as large as a link takes, beside trailers", async () => {
    const given = { ...failed, details: details(1_048_573), trailers: ["x-t", "y".repeat(100_000)] };
    const { end } = await answered(callKind.unary, (stream) => stream.end(given));
    expect({ ...end, details: undefined }).toEqual({ ...given, details: undefined });
    // Faster than what compares bytes one by one.
    expect(Buffer.compare(end.details as Uint8Array, given.details)).toBe(0);
  });

  test.each<[string, LinkEnd, LinkEnd]>([
    ["details", { ...failed, details: details(1_048_577) }, failed],
    [
      "trailers",
      { ...failed, trailers: ["x", huge], details: details(5) },
      { ...failed, trailers: [], details: details(5) },
    ],
    ["trailers that are none", { ...failed, trailers: ["X", "a\nb"] }, { ...failed, trailers: [] }],
    ["both", { ...failed, trailers: ["x", huge], details: details(1_048_576) }, { ...failed, trailers: [] }],
    [
      "the rest of a message",
      { ...failed, message: "m".repeat(1_048_577) },
      { ...failed, message: "m".repeat(349_525) },
    ],
  ])("loses nothing but %s where these are too large", async (_, given, expected) => {
    const { end } = await answered(callKind.unary, (stream) => stream.end(given));
    expect(end).toEqual(expected);
  });

  test("reaches a peer that has not said what it takes of errors with code and message", async () => {
    const { acceptor } = linkPair({
      onCall: (stream) => {
        stream.end({ ...failed, details: details(40_000) });
        return recorder();
      },
    });
    const hears = (bytes: Uint8Array): void => acceptor.transport.events?.data(bytes);
    hears(frameBytes(frameType.hello, 0, 0, fromHex("43504c4b 01")));
    hears(frameBytes(frameType.open, 2, 1, fromHex("000005 00 00 04 2f 00")));
    await new Promise((resolve) => setImmediate(resolve));
    const answer = framesIn(acceptor.transport.sent).find(({ type }) => type === frameType.part);
    expect(Buffer.from(answer?.payload ?? []).toString("hex")).toBe("00000d090377687900010c782d740431");
    expect(acceptor.closed).toEqual([]);
  });

  test("waits without its details while the caller takes nothing and too much waits already", async () => {
    const taken: LinkStream[] = [];
    const pair = await openLinkPair({
      onCall(stream) {
        taken.push(stream);
        return recorder();
      },
    });
    const ends: LinkEnd[] = [];
    const head = { kind: callKind.bidi, path: "/", deadlineMs: 0, fields: [] };
    for (let call = 0; call < 20; call++) {
      pair.dialler.session.open(head, { ...recorder(), onEnd: (end) => void ends.push(end) });
    }
    await pair.settle();
    pair.acceptor.transport.capacityBytes = 0;
    // Fills the transport.
    taken[0]?.send(details(100));
    await new Promise((resolve) => setImmediate(resolve));
    for (const stream of taken) stream.end({ ...failed, details: details(1_000_000) });
    pair.acceptor.transport.capacityBytes = Number.POSITIVE_INFINITY;
    await pair.settle();
    const told = ends.map((end) => [end.code, end.message, end.details?.length]);
    expect(told).toEqual([
      ...Array.from({ length: 16 }, () => [9, "why", 1_000_000]),
      ...Array.from({ length: 4 }, () => [9, "why", undefined]),
    ]);
  });
});

describe("an HTTP exchange", () => {
  const status = [":status", "200"];
  const grpc = ["grpc-status", "9", "grpc-message", "why"];
  const withTrailers = (trailers: readonly string[]) => (stream: LinkStream) => {
    stream.sendHead(status);
    stream.end({ ...okEnd, trailers });
  };

  test("takes a head and trailers as large as the router takes them over HTTP", async () => {
    const fields = Array.from({ length: 300 }, (_, index) => [`x-${index}`, "v".repeat(200)]).flat();
    const { log, end } = await answered(callKind.http, (stream) => {
      stream.sendHead([...status, ...fields]);
      stream.end({ ...okEnd, trailers: fields });
    });
    expect(log[0]).toBe(`head ${[...status, ...fields].join(" ")}`);
    expect(end.trailers).toEqual(fields);
  });

  test.each([
    ["head", (stream: LinkStream) => stream.sendHead([...status, "x", huge])],
    ["trailers", withTrailers(["x", huge])],
    ["trailers of gRPC without an error", withTrailers(["grpc-status", "0", "x", huge])],
  ] as const)("with a %s too large is given up with what was too large", async (_, answer) => {
    const { log } = await answered(callKind.http, answer);
    expect(log).toEqual([expect.stringMatching(new RegExp(`^reset ${resetCode.tooLarge} .+: \\d fields with 140`))]);
  });

  test.each([
    ["details", ["x", "1", "grpc-status-details-bin", huge], ["x", "1"]],
    ["details that no HTTP/2 would carry", ["x", "1", "grpc-status-details-bin", huge.slice(0, 70_000)], ["x", "1"]],
    ["all but status and message", ["x", huge], []],
  ])("with an error of gRPC loses %s", async (_, more, kept) => {
    const { end } = await answered(callKind.http, withTrailers([...grpc, ...more]));
    expect(end.trailers).toEqual([...grpc, ...kept]);
  });

  test("with an error of gRPC in its head loses the details there", async () => {
    const { log } = await answered(callKind.http, (stream) => {
      stream.sendHead([...status, ...grpc, "grpc-status-details-bin", huge]);
      stream.end();
    });
    expect(log).toEqual([`head ${[...status, ...grpc].join(" ")}`, "end 0"]);
  });
});

test("a reason of a reset is read up to a length that callers can be told", async () => {
  const { dialler, acceptor, settle } = await openLinkPair();
  const answer = recorder();
  dialler.session.open({ kind: callKind.unary, path: "/", deadlineMs: 0, fields: [] }, answer);
  await settle();
  const reason = Buffer.concat([Buffer.from([0, 5]), Buffer.alloc(500_000, "r")]);
  dialler.transport.events?.data(frameBytes(frameType.reset, 0, 1, reason));
  expect(answer.log).toEqual([`reset 5 ${"r".repeat(4_096)}`]);
  expect(acceptor.closed).toEqual([]);
});
