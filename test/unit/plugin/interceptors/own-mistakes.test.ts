import { create, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError, type UnaryRequest } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { circuitBreaker, isCircuitOpen, rateLimit, retry } from "../../../../src/plugin/interceptors/index.js";
import { choosingHost } from "../../../support/choosing-host.js";
import { BidiStreamRequestSchema } from "../../../support/gen/echo/v1/echo_pb.js";
import {
  type Attempt,
  type CallSetup,
  callThrough,
  failure,
  failureOf,
  settle,
  streamThrough,
  textOf,
} from "../../../support/intercepted.js";
import { manualClock } from "../../../support/manual-clock.js";

/** As a transport writes a message, with the code that is asked for. */
const written =
  (write: (request: UnaryRequest) => unknown, code: Code): Attempt =>
  (request) => {
    try {
      write(request);
      return "sent";
    } catch (error) {
      throw new ConnectError(`not sent: ${(error as Error).message}`, code);
    }
  };

const asBinary = ({ method, message }: UnaryRequest): Uint8Array => toBinary(method.input, message);
const asJson = ({ method, message }: UnaryRequest): string => toJsonString(method.input, message);
const json = { "content-type": "application/json" };
const refusedAs = (text: string): Attempt => {
  return () => {
    throw new ConnectError(text, Code.Unknown);
  };
};

// Nothing that could be turned into a text, as formats do with numbers.
const noText = { text: Object.create(null) as string };

const mistakes: readonly { what: string; setup: CallSetup; attempt: Attempt }[] = [
  { what: "a value that cannot be written", setup: noText, attempt: written(asBinary, Code.Internal) },
  { what: "one that a transport calls unavailable", setup: noText, attempt: written(asBinary, Code.Unavailable) },
  { what: "one that JSON has no form for", setup: { ...noText, header: json }, attempt: written(asJson, Code.Unknown) },
  { what: "a head that a server refuses for its size", setup: {}, attempt: refusedAs("HTTP 431") },
  { what: "a body that a server refuses for its size", setup: {}, attempt: refusedAs("HTTP 413") },
];

describe.each(mistakes)("$what", ({ setup, attempt }) => {
  test("opens no circuit, and ends no row of failures", async () => {
    const breaker = circuitBreaker({ clock: manualClock(), failures: 2 });
    for (let count = 0; count < 3; count += 1) await failureOf(callThrough(breaker, attempt, setup));
    expect(breaker.stateOf()).toBe("closed");
    await failureOf(callThrough(breaker, () => Promise.reject(failure())));
    await failureOf(callThrough(breaker, attempt, setup));
    await failureOf(callThrough(breaker, () => Promise.reject(failure())));
    expect(breaker.stateOf()).toBe("open");
  });

  test("does not use up the trial call", async () => {
    const clock = manualClock();
    const breaker = circuitBreaker({ clock, failures: 1, openMs: 1_000 });
    await failureOf(callThrough(breaker, () => Promise.reject(failure())));
    clock.advance(1_000);
    expect(isCircuitOpen(await failureOf(callThrough(breaker, attempt, setup)))).toBe(false);
    expect(breaker.stateOf()).toBe("half-open");
    expect(textOf(await callThrough(breaker, () => "works"))).toBe("works");
    expect(breaker.stateOf()).toBe("closed");
  });

  test("is not tried again, and costs no retry budget", async () => {
    const clock = manualClock();
    // Enough for one failure that counts.
    const budget = { tokens: 3, perSuccess: 0 };
    const interceptor = retry({ clock, firstDelayMs: 0, maxAttempts: 2, budget });
    let attempts = 0;
    const counted: Attempt = (request, count) => {
      attempts += 1;
      return attempt(request, count);
    };
    for (let count = 0; count < 3; count += 1) await failureOf(callThrough(interceptor, counted, setup));
    expect(attempts).toBe(3);
    const again = callThrough(interceptor, (_, count) => (count === 1 ? Promise.reject(failure()) : "second"));
    await settle();
    clock.advance(0);
    expect(textOf(await again)).toBe("second");
  });
});

test("a failure of a provider counts whatever other formats make of the request", async () => {
  const breaker = circuitBreaker({ clock: manualClock(), failures: 1 });
  await failureOf(callThrough(breaker, () => Promise.reject(failure(Code.Internal)), noText));
  expect(breaker.stateOf()).toBe("open");
});

test("a head that a provider itself refuses for its size is an answer of the provider", async () => {
  const breaker = circuitBreaker({ clock: manualClock(), failures: 2 });
  let error = failure(Code.Internal);
  const host = choosingHost({ one: () => Promise.reject(error) });
  await failureOf(host.call(breaker));
  error = new ConnectError("HTTP 431", Code.Unknown);
  await failureOf(host.call(breaker));
  error = failure(Code.Internal);
  await failureOf(host.call(breaker));
  expect(breaker.stateOf("", "one")).toBe("closed");
});

describe("messages of the caller", () => {
  async function* two(last: () => Message): AsyncGenerator<Message> {
    yield create(BidiStreamRequestSchema, { text: "a" });
    yield last();
  }
  const broken = () => {
    throw new Error("my file is gone");
  };

  /** As a transport does that wraps what it cannot send. */
  const sendAll = async function* (messages: AsyncIterable<Message>, code: Code): AsyncGenerator<string> {
    try {
      for await (const message of messages) toBinary(BidiStreamRequestSchema, message as never);
    } catch (error) {
      throw new ConnectError(`not sent: ${(error as Error).message}`, code);
    }
    yield "all";
  };

  const read = async (stream: AsyncIterable<string>): Promise<void> => {
    for await (const _ of stream);
  };

  test.each([
    { what: "throw", last: broken },
    { what: "cannot be written", last: () => create(BidiStreamRequestSchema, noText) },
  ])("that $what open no circuit", async ({ last }) => {
    const breaker = circuitBreaker({ clock: manualClock(), failures: 1 });
    const stream = await streamThrough(breaker, ({ message }) => sendAll(message, Code.Unavailable), {
      messages: two(last),
    });
    await expect(read(stream)).rejects.toMatchObject({ code: Code.Unavailable });
    expect(breaker.stateOf()).toBe("closed");
  });

  test("that end because the call is over are not why it is", async () => {
    const breaker = circuitBreaker({ clock: manualClock(), failures: 1 });
    const over = new AbortController();
    const stream = await streamThrough(breaker, ({ message }) => sendAll(message, Code.DeadlineExceeded), {
      signal: over.signal,
      messages: two(() => {
        over.abort();
        return broken();
      }),
    });
    await expect(read(stream)).rejects.toMatchObject({ code: Code.DeadlineExceeded });
    expect(breaker.stateOf()).toBe("open");
  });

  test("are left as the caller wants it when a provider needs no more", async () => {
    let left = false;
    const messages = (async function* () {
      try {
        for (;;) yield create(BidiStreamRequestSchema, { text: "a" });
      } finally {
        left = true;
      }
    })();
    const breaker = circuitBreaker({ clock: manualClock() });
    const stream = await streamThrough(
      breaker,
      async function* ({ message }) {
        for await (const _ of message) break;
        yield "enough";
      },
      { messages },
    );
    await read(stream);
    expect(left).toBe(true);
  });

  test("that are one message of a server stream are not sent again if it cannot be written", async () => {
    let attempts = 0;
    const stream = streamThrough(
      retry({ firstDelayMs: 0, clock: manualClock() }),
      async function* ({ message, method }) {
        attempts += 1;
        for await (const one of message as AsyncIterable<Message>) {
          yield await written(() => toBinary(method.input, one), Code.Internal)(undefined as never, 1);
        }
      },
      noText,
    );
    await failureOf(stream);
    expect(attempts).toBe(1);
  });
});

describe("a refusal by the caller's own rate limit", () => {
  const limited = (outer: ReturnType<typeof retry>, clock = manualClock(), maxWaitMs = 0) => {
    const limit = rateLimit({ clock, perSecond: 1, maxWaitMs });
    return { clock, interceptor: ((next) => outer(limit(next))) as ReturnType<typeof retry> };
  };

  test("fails at once although the call may be made again, and costs no retry budget", async () => {
    const clock = manualClock();
    const budget = { tokens: 3, perSuccess: 0 };
    const { interceptor } = limited(retry({ clock, random: () => 0, maxAttempts: 2, budget }), clock);
    await callThrough(interceptor, () => "in time");
    for (let count = 0; count < 5; count += 1) {
      const error = await failureOf(callThrough(interceptor, () => "too early"));
      expect([error.code, error.metadata.get("retry-after")]).toEqual([Code.ResourceExhausted, "1"]);
    }
    expect(clock.pending).toBe(0);
    clock.advance(1_000);
    const real = callThrough(interceptor, (_, count) =>
      count === 1 ? Promise.reject(failure(Code.Unavailable, { "retry-after": "1" })) : "second",
    );
    await settle();
    clock.advance(1_000);
    expect(textOf(await real)).toBe("second");
  });

  test("fails at once although the caller has asked for attempts after resource_exhausted", async () => {
    const clock = manualClock();
    const { interceptor } = limited(retry({ clock, codes: [Code.ResourceExhausted] }), clock);
    await callThrough(interceptor, () => "in time");
    await failureOf(callThrough(interceptor, () => "too early"));
    expect(clock.pending).toBe(0);
  });

  test("says nothing of the provider, as does a call that is given up while it waits", async () => {
    const clock = manualClock();
    const breaker = circuitBreaker({ clock, failures: 1, openMs: 1_000 });
    const { interceptor } = limited(breaker, clock, 500);
    await failureOf(callThrough(interceptor, () => Promise.reject(failure())));
    breaker.retest();
    expect((await failureOf(callThrough(interceptor, () => "too early"))).code).toBe(Code.ResourceExhausted);
    expect(breaker.stateOf()).toBe("half-open");
    clock.advance(600);
    const late = new AbortController();
    const waits = failureOf(callThrough(interceptor, () => "given up", { signal: late.signal }));
    await settle();
    late.abort(new ConnectError("the time of the call is over", Code.DeadlineExceeded));
    expect((await waits).code).toBe(Code.DeadlineExceeded);
    expect(breaker.stateOf()).toBe("half-open");
    clock.advance(400);
    expect(textOf(await callThrough(interceptor, () => "works"))).toBe("works");
    expect(breaker.stateOf()).toBe("closed");
  });
});
