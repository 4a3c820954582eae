import { Code, type Interceptor } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { rateLimit, resilience, timeLimit } from "../../../../src/plugin/interceptors/index.js";
import { callThrough, failure, failureOf, settle, textOf } from "../../../support/intercepted.js";
import { manualClock } from "../../../support/manual-clock.js";

describe("a time limit", () => {
  test("ends a call that takes longer, aborts it at the provider, and leaves no timer", async () => {
    const clock = manualClock();
    let aborted: unknown;
    const failed = failureOf(
      callThrough(
        timeLimit({ clock }),
        ({ signal }) =>
          new Promise<never>((_, reject) => {
            signal.addEventListener("abort", () => {
              aborted = signal.reason;
              reject(failure(Code.Canceled));
            });
          }),
      ),
    );
    await settle();
    clock.advance(9_999);
    expect(aborted).toBeUndefined();
    clock.advance(1);
    const error = await failed;
    expect([error.code, error.rawMessage]).toEqual([Code.DeadlineExceeded, "no answer within 10000 ms"]);
    expect(aborted).toBe(error);
    expect(clock.pending).toBe(0);
  });

  test.each([
    { given: undefined, told: "10000", why: "the provider hears of it" },
    { given: "20000", told: "10000", why: "the limit is shorter" },
    { given: "50", told: "50", why: "the caller's is shorter" },
  ])("with $given ms the provider is told $told ($why)", async ({ given, told }) => {
    const header = given === undefined ? {} : { "connect-timeout-ms": given };
    const clock = manualClock();
    const answer = await callThrough(
      timeLimit({ clock }),
      (request) => request.header.get("connect-timeout-ms") ?? "",
      { header },
    );
    expect([textOf(answer), clock.pending]).toEqual([told, 0]);
  });

  test("a caller that gives up is not told of a limit", async () => {
    const gone = new AbortController();
    const failed = failureOf(
      callThrough(
        timeLimit({ clock: manualClock() }),
        ({ signal }) =>
          new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(failure(Code.Canceled)))),
        { signal: gone.signal },
      ),
    );
    gone.abort();
    expect((await failed).code).toBe(Code.Canceled);
  });
});

describe("a rate limit", () => {
  const begin = (options: Parameters<typeof rateLimit>[0]) => {
    const clock = manualClock();
    const interceptor = rateLimit({ clock, ...options });
    const begun: number[] = [];
    const call = (setup = {}) =>
      callThrough(
        interceptor,
        () => {
          begun.push(clock.monotonic());
          return "ok";
        },
        setup,
      );
    return { clock, begun, call };
  };

  test("lets a burst pass, then refuses what is too early without sending it", async () => {
    const { clock, begun, call } = begin({ perSecond: 2, burst: 3 });
    for (let count = 0; count < 3; count++) await call();
    const error = await failureOf(call());
    expect([error.code, error.metadata.get("retry-after")]).toEqual([Code.ResourceExhausted, "1"]);
    expect(error.cause).toMatchObject({ code: "LIMIT_REACHED" });
    clock.advance(500);
    await call();
    expect((await failureOf(call())).code).toBe(Code.ResourceExhausted);
    expect(begun).toEqual([0, 0, 0, 500]);
  });

  test("lets calls wait for their turn in order, no longer than they may", async () => {
    const { clock, begun, call } = begin({ perSecond: 10, burst: 1, maxWaitMs: 250 });
    const calls = [call(), call(), call()];
    const tooLate = await failureOf(call());
    expect(tooLate.code).toBe(Code.ResourceExhausted);
    for (let turn = 0; turn < 3; turn++) {
      await settle();
      clock.advance(100);
    }
    await Promise.all(calls);
    expect(begun).toEqual([0, 100, 200]);
  });

  test("gives the place of a call that is given up to those behind it, and to those who come later", async () => {
    const { clock, begun, call } = begin({ perSecond: 10, burst: 1, maxWaitMs: 5_000 });
    await call();
    const gone = Array.from({ length: 8 }, () => new AbortController());
    const given = gone.map(({ signal }) => failureOf(call({ signal })));
    const behind = call();
    await settle();
    clock.advance(50);
    for (const one of gone) one.abort();
    expect((await Promise.all(given)).map(({ code }) => code)).toEqual(gone.map(() => Code.Canceled));
    const later = call();
    for (let turn = 0; turn < 3; turn++) {
      await settle();
      clock.advance(50);
    }
    await Promise.all([behind, later]);
    expect(begun).toEqual([0, 100, 200]);
    expect(clock.pending).toBe(0);
  });

  test("keeps no timer when the only call that waits is given up, and takes no turn of one that came too late", async () => {
    const { clock, begun, call } = begin({ perSecond: 10, burst: 1, maxWaitMs: 5_000 });
    await call();
    const gone = new AbortController();
    const given = failureOf(call({ signal: gone.signal }));
    await settle();
    gone.abort();
    await given;
    expect(clock.pending).toBe(0);
    expect((await failureOf(call({ signal: AbortSignal.abort() }))).code).toBe(Code.Canceled);
    clock.advance(100);
    await call();
    expect(begun).toEqual([0, 100]);
  });

  test("lets those whose turns came while the program was busy begin at once, in order", async () => {
    const { clock, begun, call } = begin({ perSecond: 10, burst: 1, maxWaitMs: 5_000 });
    const order: number[] = [];
    const calls = Array.from({ length: 5 }, (_, index) => call().then(() => order.push(index)));
    await settle();
    clock.advance(350);
    await settle();
    expect(begun).toEqual([0, 350, 350, 350]);
    clock.advance(50);
    await Promise.all(calls);
    expect([begun.at(-1), order]).toEqual([400, [0, 1, 2, 3, 4]]);
  });

  test("lets no call wait past its deadline", async () => {
    const { call } = begin({ perSecond: 1, maxWaitMs: 60_000 });
    await call();
    const error = await failureOf(call({ header: { "connect-timeout-ms": "999" } }));
    expect(error.code).toBe(Code.ResourceExhausted);
  });

  test("counts each key for itself", async () => {
    const { call } = begin({ perSecond: 1, keyOf: ({ header }) => header.get("x-to") ?? "" });
    await call({ header: { "x-to": "a" } });
    await call({ header: { "x-to": "b" } });
    expect((await failureOf(call({ header: { "x-to": "a" } }))).code).toBe(Code.ResourceExhausted);
  });
});

describe("all together", () => {
  test("each attempt has its own time, and the breaker counts attempts and ends the retries", async () => {
    const clock = manualClock();
    let attempts = 0;
    const interceptors = resilience({
      retry: { clock, random: () => 0, maxAttempts: 5 },
      circuitBreaker: { clock, failures: 2 },
      timeLimit: { clock, timeoutMs: 100 },
    });
    const all: Interceptor = (next) => interceptors.reduceRight((inner, outer) => outer(inner), next);
    const failed = failureOf(
      callThrough(all, ({ signal }) => {
        attempts += 1;
        return new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      }),
    );
    // 100 ms for the first, 500 between, 100 for the second, which opens the circuit; 1,000 more for the third, which is not made.
    for (const ms of [100, 500, 100, 1_000]) {
      await settle();
      clock.advance(ms);
    }
    const error = await failed;
    expect([attempts, error.code]).toEqual([2, Code.Unavailable]);
    expect(error.cause).toMatchObject({ code: "CIRCUIT_OPEN" });
    expect(clock.monotonic()).toBe(1_700);
  });

  test.each([
    { given: undefined, count: 3, why: "what has defaults" },
    { given: {}, count: 0, why: "what is not named is off" },
    { given: { retry: true, timeLimit: false }, count: 1, why: "only what is on" },
    { given: { rateLimit: { perSecond: 5 } }, count: 1, why: "only what is on" },
  ])("$given makes $count interceptors ($why)", ({ given, count }) => {
    expect(resilience(given)).toHaveLength(count);
  });

  test.each([
    { given: { retries: true }, field: "resilience.retries" },
    { given: { retry: { maxAttempts: 0 } }, field: "resilience.retry.maxAttempts" },
    { given: { retry: null as never }, field: "resilience.retry" },
    { given: { retry: { codes: ["unavailable" as never] } }, field: "resilience.retry.codes[0]" },
    { given: { circuitBreaker: { failures: 1.5 } }, field: "resilience.circuitBreaker.failures" },
    { given: { circuitBreaker: "on" as never }, field: "resilience.circuitBreaker" },
    { given: { rateLimit: true as never }, field: "resilience.rateLimit.perSecond" },
    { given: { rateLimit: { perSecond: 5, burst: 0 } }, field: "resilience.rateLimit.burst" },
    { given: { timeLimit: { timeoutMs: -1 } }, field: "resilience.timeLimit.timeoutMs" },
  ])("$given is refused at $field", ({ given, field }) => {
    expect(() => resilience(given)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT", field }));
  });
});
