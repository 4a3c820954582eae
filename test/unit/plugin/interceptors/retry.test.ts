import { create, type Message, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { circuitOpenError } from "../../../../src/plugin/interceptors/circuit-open-error.js";
import { type RetryOptions, retry } from "../../../../src/plugin/interceptors/index.js";
import { retryWith } from "../../../../src/plugin/interceptors/retry.js";
import { resolveRetry } from "../../../../src/plugin/interceptors/retry-options.js";
import { ServerStreamRequestSchema } from "../../../support/gen/echo/v1/echo_pb.js";
import {
  type CallSetup,
  callThrough,
  failure,
  failureOf,
  settle,
  streamThrough,
  textOf,
} from "../../../support/intercepted.js";
import { manualClock } from "../../../support/manual-clock.js";

/** A call that fails each time, with the times of its attempts. The clock goes on by itself. */
async function attemptsOf(options: RetryOptions, setup: CallSetup = {}, error: () => Error = failure) {
  const clock = manualClock();
  const times: number[] = [];
  const call = callThrough(
    retry({ random: () => 0, clock, ...options }),
    () => {
      times.push(clock.monotonic());
      throw error();
    },
    setup,
  );
  const last = failureOf(call);
  await settle();
  for (let delays = clock.delays(); delays.length > 0; delays = clock.delays()) {
    clock.advance(delays[0] as number);
    await settle();
  }
  return { times, error: await last };
}

describe("when a call is made again", () => {
  test("a wait between attempts keeps the process alive, since it is a part of a call", async () => {
    const clock = manualClock();
    const kept: boolean[] = [];
    const counting = {
      ...clock,
      after: (delayMs: number, fire: () => void, keepAlive = false) => {
        kept.push(keepAlive);
        return clock.after(delayMs, fire);
      },
    };
    const last = failureOf(callThrough(retry({ clock: counting, maxAttempts: 2 }), () => Promise.reject(failure())));
    await settle();
    expect(kept).toEqual([true]);
    clock.advance(1_000);
    await last;
  });

  test.each([
    { random: 0, times: [0, 500, 1_500], why: "half of what doubles is certain" },
    { random: 0.999_999, times: [0, 1_000, 3_000], why: "the other half is random" },
  ])("waits that grow lie between attempts ($why)", async ({ random, times }) => {
    const attempts = await attemptsOf({ random: () => random });
    expect(attempts.times.map(Math.round)).toEqual(times);
  });

  test("no wait is longer than the longest", async () => {
    const { times } = await attemptsOf({ maxAttempts: 6, longestDelayMs: 2_000, budget: false });
    expect(times).toEqual([0, 500, 1_500, 2_500, 3_500, 4_500]);
  });

  test.each([
    { metadata: { "retry-after": "7" }, times: [0, 7_000, 14_000], why: "Retry-After" },
    { metadata: { "grpc-retry-pushback-ms": "1200" }, times: [0, 1_200, 2_400], why: "gRPC's pushback" },
    { metadata: { "retry-after": "1" }, times: [0, 1_000, 2_000], why: "it is the least, not the most" },
    { metadata: { "grpc-retry-pushback-ms": "-1" }, times: [0], why: "forbidden" },
    { metadata: { "retry-after": "11" }, times: [0], why: "longer than the longest wait" },
    { metadata: { "retry-after": "Fri, 31 Dec 1999 23:59:59 GMT" }, times: [0, 500, 1_500], why: "dates are not read" },
  ])("$metadata is kept to ($why)", async ({ metadata, times }) => {
    expect((await attemptsOf({}, {}, () => failure(Code.Unavailable, metadata as never))).times).toEqual(times);
  });

  test("google.rpc.RetryInfo is kept to", async () => {
    const duration = toBinary(DurationSchema, create(DurationSchema, { seconds: 2n, nanos: 500_000_000 }));
    const value = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(duration).finish();
    const informed = (): ConnectError => {
      const error = failure();
      error.details.push({ type: "google.rpc.RetryInfo", value });
      return error;
    };
    expect((await attemptsOf({ maxAttempts: 2 }, {}, informed)).times).toEqual([0, 2_500]);
  });
});

describe("which calls are made again", () => {
  const codes = Object.values(Code).filter((code): code is Code => typeof code === "number");
  const worth = [Code.Unavailable, Code.DeadlineExceeded, Code.Internal, Code.Unknown];

  test.each(codes.map((code) => ({ name: Code[code], code, again: worth.includes(code) })))(
    "after $name: $again",
    async ({ code, again }) => {
      expect((await attemptsOf({}, {}, () => failure(code))).times).toHaveLength(again ? 3 : 1);
    },
  );

  test.each([
    { setup: { idempotency: "idempotent" }, count: 3, why: "the description says so" },
    { setup: { idempotency: "no-side-effects" }, count: 3, why: "the description says so" },
    { setup: { idempotency: "unknown" }, count: 1, why: "nobody says that it may happen twice" },
    { setup: { idempotency: "unknown", header: { "idempotency-key": "1" } }, count: 3, why: "the key makes it so" },
  ] as const)("$setup: $count attempts ($why)", async ({ setup, count }) => {
    expect((await attemptsOf({}, setup)).times).toHaveLength(count);
  });

  test("the caller can say so of a method", async () => {
    const isRepeatable: RetryOptions["isRepeatable"] = ({ method }) => method.name === "Say";
    expect((await attemptsOf({ isRepeatable }, { idempotency: "unknown" })).times).toHaveLength(3);
  });

  test("resource_exhausted only with a time to come back", async () => {
    const limited = () => failure(Code.ResourceExhausted, { "retry-after": "1" });
    expect((await attemptsOf({}, {}, limited)).times).toHaveLength(3);
  });

  test.each([
    { codes: [Code.Unavailable], code: Code.ResourceExhausted, count: 1, why: "it is not among them" },
    { codes: [Code.ResourceExhausted], code: Code.ResourceExhausted, count: 3, why: "it is among them" },
    { codes: [Code.Aborted], code: Code.Aborted, count: 3, why: "it is among them" },
    { codes: [], code: Code.Unavailable, count: 1, why: "there is none" },
  ])("no others than the codes that are given: $code of $codes $count times ($why)", async ({ codes, code, count }) => {
    const failed = () => failure(code, { "retry-after": "1" });
    expect((await attemptsOf({ codes }, {}, failed)).times).toHaveLength(count);
  });

  test.each([
    { codes: ["unavailable"], field: "retry.codes[0]", said: 'such as Code.Unavailable, got "unavailable"' },
    { codes: [Code.Internal, "DataLoss"], field: "retry.codes[1]", said: 'such as Code.DataLoss, got "DataLoss"' },
    { codes: [503], field: "retry.codes[0]", said: "such as Code.Unavailable, got 503" },
    { codes: "unavailable", field: "retry.codes", said: 'must be an array of Code, got "unavailable"' },
  ])("codes that no error has are refused: $codes", ({ codes, field, said }) => {
    const message = expect.stringContaining(said);
    expect(() => retry({ codes: codes as never })).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT", field, message }),
    );
  });

  test("any that certainly reached nobody", async () => {
    const clock = manualClock();
    const interceptor = retryWith(resolveRetry({ clock, firstDelayMs: 0, budget: false }), ({ metadata }) =>
      metadata.has("not-sent"),
    );
    const count = async (code: Code): Promise<number> => {
      let attempts = 0;
      const call = callThrough(
        interceptor,
        () => {
          attempts += 1;
          throw failure(code, { "not-sent": "1" });
        },
        { idempotency: "unknown" },
      );
      const failed = failureOf(call);
      for (let turn = 0; turn < 3; turn++) {
        await settle();
        clock.advance(1);
      }
      await failed;
      return attempts;
    };
    expect(await count(Code.Unavailable)).toBe(3);
    expect(await count(Code.NotFound)).toBe(3);
  });

  test("none behind an open circuit", async () => {
    expect((await attemptsOf({}, {}, () => circuitOpenError("echo", 5_000, "no"))).times).toEqual([0]);
  });

  test("none when the budget is down to its half, until others succeed", async () => {
    const clock = manualClock();
    const interceptor = retry({
      clock,
      firstDelayMs: 0,
      maxAttempts: 2,
      budget: { tokens: 4, perSuccess: 0.5 },
    });
    const attempts = async (): Promise<number> => {
      let count = 0;
      const failed = failureOf(
        callThrough(interceptor, () => {
          count += 1;
          throw failure();
        }),
      );
      await settle();
      clock.advance(0);
      await failed;
      return count;
    };
    // Of 4 tokens the first failure leaves 3; the second leaves 2, which is the half.
    expect([await attempts(), await attempts(), await attempts()]).toEqual([2, 1, 1]);
    for (let calls = 0; calls < 8; calls++) await callThrough(interceptor, () => "ok");
    expect(await attempts()).toBe(2);
  });
});

describe("the deadline of the call", () => {
  test("no attempt is made after it, and each tells what is left", async () => {
    const clock = manualClock();
    const told: (string | null)[] = [];
    const interceptor = retry({ clock, random: () => 0, maxAttempts: 10, budget: false });
    const call = callThrough(
      interceptor,
      ({ header }) => {
        told.push(header.get("connect-timeout-ms"));
        throw failure(Code.Unavailable);
      },
      { header: { "connect-timeout-ms": "3000" } },
    );
    const failed = failureOf(call);
    for (let turn = 0; turn < 10; turn++) {
      await settle();
      clock.advance(500);
    }
    expect((await failed).code).toBe(Code.Unavailable);
    // The next wait would be 2,000 ms, and 1,500 are left.
    expect(told).toEqual(["3000", "2500", "1500"]);
    expect(clock.pending).toBe(0);
  });

  test("is told in gRPC's way to gRPC", async () => {
    const clock = manualClock();
    const told: (string | null)[] = [];
    const header = { "content-type": "application/grpc+proto", "grpc-timeout": "2S" };
    const failed = failureOf(
      callThrough(
        retry({ clock, random: () => 0, maxAttempts: 2 }),
        ({ header: sent }) => {
          told.push(sent.get("grpc-timeout"), sent.get("connect-timeout-ms"));
          throw failure();
        },
        { header },
      ),
    );
    await settle();
    clock.advance(500);
    await failed;
    expect(told).toEqual(["2S", null, "1500m", null]);
  });

  test("a caller that gives up while it waits is told so at once", async () => {
    const clock = manualClock();
    const gone = new AbortController();
    const failed = failureOf(
      callThrough(
        retry({ clock }),
        () => {
          throw failure();
        },
        { signal: gone.signal },
      ),
    );
    await settle();
    expect(clock.pending).toBe(1);
    gone.abort();
    expect((await failed).code).toBe(Code.Canceled);
    expect(clock.pending).toBe(0);
  });
});

test("the fields of one attempt are not seen by the next, and the answer of the last one is the answer", async () => {
  const clock = manualClock();
  const seen: (string | null)[] = [];
  const call = callThrough(retry({ clock, firstDelayMs: 0 }), ({ header }, count) => {
    seen.push(header.get("x-attempt"));
    header.set("x-attempt", String(count));
    if (count < 3) throw failure();
    return "third";
  });
  for (let turn = 0; turn < 3; turn++) {
    await settle();
    clock.advance(0);
  }
  expect(textOf(await call)).toBe("third");
  expect(seen).toEqual([null, null, null]);
});

test("whoever asked is told of each retry, and cannot disturb it", async () => {
  const events: [number, number][] = [];
  const { times } = await attemptsOf({
    onRetry: ({ attempts, delayMs }) => {
      events.push([attempts, delayMs]);
      throw new Error("a bad logger");
    },
  });
  expect(times).toHaveLength(3);
  expect(events).toEqual([
    [1, 500],
    [2, 1_000],
  ]);
});

describe("streams", () => {
  const immediately = () => retry({ firstDelayMs: 0, longestDelayMs: 0 });

  test("a server stream that fails before its first message is opened again, with the same request", async () => {
    const asked: unknown[] = [];
    const stream = await streamThrough(
      immediately(),
      async function* (request, count) {
        for await (const message of request.message) asked.push(message);
        if (count < 3) throw failure();
        yield "a";
        yield "b";
      },
      { text: "question" },
    );
    const texts: string[] = [];
    for await (const text of stream) texts.push(text);
    expect(texts).toEqual(["a", "b"]);
    expect(asked).toMatchObject([{ text: "question" }, { text: "question" }, { text: "question" }]);
  });

  test("one that fails after its first message is not", async () => {
    let count = 0;
    const stream = await streamThrough(immediately(), async function* () {
      count += 1;
      yield "a";
      throw failure();
    });
    const texts: string[] = [];
    const read = async (): Promise<void> => {
      for await (const text of stream) texts.push(text);
    };
    await expect(read()).rejects.toMatchObject({ code: Code.Unavailable });
    expect([texts, count]).toEqual([["a"], 1]);
  });

  test("an attempt that leaves its messages without taking one leaves all of them to the next", async () => {
    async function* two(): AsyncGenerator<Message> {
      yield create(ServerStreamRequestSchema, { text: "a" });
      yield create(ServerStreamRequestSchema, { text: "b" });
    }
    let attempts = 0;
    const taken: unknown[] = [];
    await streamThrough(
      (next) =>
        retry({ firstDelayMs: 0, longestDelayMs: 0 })(async (request) => {
          attempts += 1;
          const messages = request.message as AsyncIterable<Message>;
          if (attempts === 1) {
            await messages[Symbol.asyncIterator]().return?.();
            throw failure();
          }
          for await (const message of messages) taken.push(message);
          return next(request);
        }),
      async function* () {},
      { messages: two() },
    );
    expect([attempts, taken.length]).toEqual([2, 2]);
  });

  test("a stream in both directions is not once anything of it was taken", async () => {
    async function* nothing(): AsyncGenerator<never> {}
    const count = async (take: boolean): Promise<number> => {
      let attempts = 0;
      const failed = streamThrough(
        (next) =>
          retry({ firstDelayMs: 0, longestDelayMs: 0 })(async (request) => {
            attempts += 1;
            if (take && request.stream) for await (const _ of request.message);
            await next(request);
            throw failure();
          }),
        async function* () {},
        { messages: nothing() },
      );
      await failureOf(failed);
      return attempts;
    };
    expect([await count(false), await count(true)]).toEqual([3, 1]);
  });
});

test.each([
  { options: { maxAttempts: 0 }, field: "retry.maxAttempts" },
  { options: { maxAttempts: 1.5 }, field: "retry.maxAttempts" },
  { options: { firstDelayMs: -1 }, field: "retry.firstDelayMs" },
  { options: { firstDelayMs: 10, longestDelayMs: 5 }, field: "retry.longestDelayMs" },
  { options: { budget: { tokens: 0 } }, field: "retry.budget.tokens" },
  { options: { attempts: 3 }, field: "retry.attempts" },
])("$options is refused at $field", ({ options, field }) => {
  expect(() => retry(options as RetryOptions)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT", field }));
});
