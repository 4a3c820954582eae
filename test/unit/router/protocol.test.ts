import { describe, expect, test } from "vitest";
import type { CallProtocol } from "../../../src/model/call-event.js";
import { codeOfGrpcStatus, codeOfHttpStatus, connectCodes } from "../../../src/router/connect-code.js";
import {
  callerDeadlineMs,
  parseConnectTimeout,
  parseGrpcTimeout,
  remainingDeadline,
} from "../../../src/router/deadline.js";
import { EnvelopeTracker } from "../../../src/router/envelope-tracker.js";
import { resolveRouterOptions } from "../../../src/router/options.js";
import { answersInEnvelopes, detectProtocol } from "../../../src/router/protocol.js";
import { type CallFailure, encodeGrpcMessage, errorAnswer } from "../../../src/router/protocol-error.js";
import { TimeoutQueue } from "../../../src/router/timeout-queue.js";

test.each([
  { type: "application/grpc", is: "grpc" },
  { type: "application/grpc+proto", is: "grpc" },
  { type: "Application/gRPC;charset=x", is: "grpc" },
  { type: "application/grpc-web", is: "grpc-web" },
  { type: "application/grpc-web-text+proto", is: "grpc-web" },
  { type: "application/grpc-webby", is: "http" },
  { type: "application/grpcx", is: "http" },
  { type: "application/connect+json", is: "connect-stream" },
  { type: "application/proto", is: "connect-unary" },
  { type: "application/json; charset=utf-8", is: "connect-unary" },
  { type: "application/jsonlines", is: "http" },
  { type: "text/plain", is: "http" },
  { type: undefined, is: "http" },
])("POST of $type is $is", ({ type, is }) => {
  expect(detectProtocol({ method: "POST", target: "/", header: () => type })).toBe(is);
  if (is !== "http") expect(detectProtocol({ method: "PUT", target: "/", header: () => type })).toBe("http");
});

test.each([
  { target: "/x?connect=v1&message=a", is: "connect-get" },
  { target: "/x?message=a&connect=v1", is: "connect-get" },
  { target: "/x?connect=v10", is: "http" },
  { target: "/connect=v1", is: "http" },
])("GET $target is $is", ({ target, is }) =>
  expect(detectProtocol({ method: "GET", target, header: () => undefined })).toBe(is),
);

test("only answers in a protocol's own envelopes are followed", () => {
  const cases: [CallProtocol, string, boolean][] = [
    ["grpc", "application/grpc+proto", true],
    ["grpc", "text/html", false],
    ["grpc-web", "application/grpc-web+proto", true],
    ["grpc-web", "application/grpc-web-text", false],
    ["connect-stream", "application/connect+json", true],
    ["connect-unary", "application/connect+json", false],
  ];
  for (const [protocol, type, is] of cases) expect(answersInEnvelopes(protocol, type)).toBe(is);
});

describe("an error", () => {
  const failure: CallFailure = { code: "unavailable", httpStatus: 503, reason: "down: 100 % ä", retryAfterMs: 1_200 };
  const json = { code: "unavailable", message: "down: 100 % ä" };
  const field = (fields: readonly string[], name: string): string | undefined => fields[fields.indexOf(name) + 1];

  test.each(["connect-unary", "connect-get", "http"] as const)(
    "for %s is a Connect JSON error with the status",
    (protocol) => {
      const { status, fields, body } = errorAnswer(protocol, "application/proto", failure);
      expect([status, field(fields, "content-type"), field(fields, "retry-after")]).toEqual([
        503,
        "application/json",
        "2",
      ]);
      expect(JSON.parse(body.toString())).toEqual(json);
      expect(Number(field(fields, "content-length"))).toBe(body.length);
    },
  );

  test("for gRPC is a head alone with 200", () => {
    const { status, fields, body } = errorAnswer("grpc", "application/grpc+json", failure);
    expect([status, field(fields, "content-type"), field(fields, "grpc-status"), body.length]).toEqual([
      200,
      "application/grpc+json",
      "14",
      0,
    ]);
    expect(field(fields, "grpc-message")).toBe("down: 100 %25 %C3%A4");
    expect(field(fields, "grpc-retry-pushback-ms")).toBe("1200");
  });

  test("for gRPC-Web is a trailer frame in the body, in base64 for the text form", () => {
    const { status, body } = errorAnswer("grpc-web", "application/grpc-web+proto", failure);
    expect([status, body[0], body.readUInt32BE(1)]).toEqual([200, 0x80, body.length - 5]);
    expect(body.subarray(5).toString()).toContain("grpc-status: 14\r\n");
    const text = errorAnswer("grpc-web", "application/grpc-web-text", failure).body.toString();
    expect(Buffer.from(text, "base64")).toEqual(body);
  });

  test("for a Connect stream is the message that ends it, with 200", () => {
    const { status, fields, body } = errorAnswer("connect-stream", "application/connect+json", failure);
    expect([status, field(fields, "content-type"), body[0], body.readUInt32BE(1)]).toEqual([
      200,
      "application/connect+json",
      2,
      body.length - 5,
    ]);
    expect(JSON.parse(body.subarray(5).toString())).toEqual({ error: json });
  });

  test("without a retry says nothing of one", () => {
    const { fields } = errorAnswer("http", undefined, { ...failure, retryAfterMs: undefined });
    expect(fields).not.toContain("retry-after");
  });

  test("in a grpc-message is printable ASCII, whatever it was", () => {
    expect(encodeGrpcMessage("plain text")).toBe("plain text");
    expect(encodeGrpcMessage("a\n%\u{1F600}")).toBe("a%0A%25%F0%9F%98%80");
  });
});

test("codes and statuses map both ways", () => {
  expect(codeOfGrpcStatus("0")).toBe("ok");
  expect(codeOfGrpcStatus("16")).toBe("unauthenticated");
  expect(codeOfGrpcStatus("99")).toBe("unknown");
  expect(codeOfGrpcStatus("")).toBe("unknown");
  expect(connectCodes).toHaveLength(17);
  expect([200, 302, 404, 413, 418, 502, 504].map(codeOfHttpStatus)).toEqual([
    "ok",
    "ok",
    "not_found",
    "resource_exhausted",
    "unknown",
    "unavailable",
    "deadline_exceeded",
  ]);
});

describe("deadlines", () => {
  test.each([
    ["1H", 3_600_000],
    ["2M", 120_000],
    ["3S", 3_000],
    ["4m", 4],
    ["5u", 0.005],
    ["1n", 1e-6],
    ["99999999H", 99999999 * 3_600_000],
    ["123456789m", undefined],
    ["1", undefined],
    ["-1S", undefined],
    ["1s", undefined],
  ] as const)("grpc-timeout %s is %s ms", (value, ms) => expect(parseGrpcTimeout(value)).toBe(ms));

  test.each([
    ["0", 0],
    ["9999999999", 9_999_999_999],
    ["12345678901", undefined],
    ["1.5", undefined],
    ["", undefined],
  ] as const)("connect-timeout-ms %s is %s", (value, ms) => expect(parseConnectTimeout(value)).toBe(ms));

  test("are read from the field of the protocol only", () => {
    const header = (name: string): string => (name === "grpc-timeout" ? "1S" : "7");
    expect(callerDeadlineMs("grpc", { header })).toBe(1_000);
    expect(callerDeadlineMs("connect-stream", { header })).toBe(7);
    expect(callerDeadlineMs("http", { header })).toBeUndefined();
  });

  test("shrink on the way, never to nothing, and stay as they are if they cannot be read", () => {
    expect(remainingDeadline("connect-timeout-ms", "1000", 0.4)).toBe("1000");
    expect(remainingDeadline("connect-timeout-ms", "1000", 400.2)).toBe("599");
    expect(remainingDeadline("connect-timeout-ms", "10", 400)).toBe("1");
    expect(remainingDeadline("grpc-timeout", "1S", 10)).toBe("990m");
    expect(remainingDeadline("grpc-timeout", "500H", 1_000)).toBe("1799999S");
    // Longer than any timer of JavaScript's waits.
    expect(remainingDeadline("grpc-timeout", "99999999H", 1_000)).toBe("2147483S");
    expect(remainingDeadline("grpc-timeout", "soon", 10)).toBe("soon");
  });
});

describe("the envelope tracker", () => {
  const message = (flags: number, text: string): Buffer =>
    Buffer.concat([Buffer.from([flags, 0, 0, 0, text.length]), Buffer.from(text)]);

  test("knows where a message ends, however the bytes are cut", () => {
    const bytes = Buffer.concat([message(0, "abc"), message(0, ""), message(1, "defgh")]);
    const ends = [0, 8, 13, 23];
    for (let size = 1; size <= 7; size++) {
      const tracker = new EnvelopeTracker();
      for (let at = 0; at < bytes.length; at += size) {
        tracker.push(bytes.subarray(at, at + size));
        expect(tracker.mayEndHere).toBe(ends.includes(Math.min(at + size, bytes.length)));
      }
    }
  });

  test("does not allow a second end, and keeps what the first says", () => {
    for (const flags of [0x02, 0x80]) {
      const tracker = new EnvelopeTracker();
      expect(tracker.mayEndHere).toBe(true);
      tracker.push(message(0, "abc"));
      tracker.push(message(flags, "the end"));
      expect([tracker.mayEndHere, tracker.endMessage]).toEqual([false, "the end"]);
    }
    const compressed = new EnvelopeTracker();
    compressed.push(message(0x81, "xyz"));
    expect(compressed.endMessage).toBe("");
  });

  test("can follow messages of four gigabytes", () => {
    const tracker = new EnvelopeTracker();
    tracker.push(Buffer.from([0, 255, 255, 255, 255, 1]));
    expect(tracker.mayEndHere).toBe(false);
  });
});

test("the timeout queue fires in order, once, and not for those that left", () => {
  let now = 0;
  let timers: { at: number; fire: () => void }[] = [];
  const clock = {
    now: () => now,
    monotonic: () => now,
    after: (ms: number, fire: () => void) => {
      const timer = { at: now + ms, fire };
      timers.push(timer);
      return {
        cancel: () => {
          timers = timers.filter((other) => other !== timer);
        },
      };
    },
  };
  const advance = (to: number): void => {
    now = to;
    for (const timer of timers.filter(({ at }) => at <= to)) {
      timers = timers.filter((other) => other !== timer);
      timer.fire();
    }
  };
  const fired: string[] = [];
  const entry = (name: string) => ({ timeoutPlace: undefined, onTimeout: () => void fired.push(`${name}@${now}`) });
  const queue = new TimeoutQueue(clock, 100);
  const [a, b, c] = [entry("a"), entry("b"), entry("c")];
  queue.add(a);
  advance(10);
  queue.add(b);
  queue.add(c);
  queue.delete(b);
  advance(50);
  queue.add(a);
  expect(timers).toHaveLength(1);
  advance(100);
  expect(fired).toEqual([]);
  advance(110);
  expect(fired).toEqual(["c@110"]);
  advance(150);
  expect(fired).toEqual(["c@110", "a@150"]);
  advance(500);
  expect(fired).toHaveLength(2);
  queue.add(b);
  queue.close();
  expect(timers).toEqual([]);
});

test("options are checked by name, filled in and frozen, and the caller's object is left alone", () => {
  const given = Object.freeze({ startGraceMs: 0, trustedProxies: ["::1"] });
  const options = resolveRouterOptions(given);
  expect(options).toMatchObject({ startGraceMs: 0, headersTimeoutMs: 30_000, maxBodyBytes: Number.POSITIVE_INFINITY });
  expect(Object.isFrozen(options)).toBe(true);
  expect(() => resolveRouterOptions({ headersTimeoutMs: 0 })).toThrow(/router\.headersTimeoutMs/);
  expect(() => resolveRouterOptions({ maxBodyBytes: Number.NaN })).toThrow(/router\.maxBodyBytes/);
  expect(() => resolveRouterOptions({ viaName: "two words" })).toThrow(/router\.viaName/);
});
