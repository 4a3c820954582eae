import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { deferred } from "../../../../src/internal/deferred.js";
import {
  type CircuitBreakerOptions,
  type CircuitEvent,
  circuitBreaker,
  isCircuitOpen,
  PluginHostError,
} from "../../../../src/plugin/interceptors/index.js";
import { type Attempt, callThrough, failure, failureOf, streamThrough, textOf } from "../../../support/intercepted.js";
import { manualClock } from "../../../support/manual-clock.js";

function bench(options: CircuitBreakerOptions = {}) {
  const clock = manualClock();
  const breaker = circuitBreaker({ clock, ...options });
  const events: CircuitEvent["state"][] = [];
  breaker.onChange(({ state }) => events.push(state));
  const call = (attempt: Attempt, header = {}) => callThrough(breaker, attempt, { header });
  const fail = (code = Code.Unavailable) =>
    failureOf(
      call(() => {
        throw failure(code);
      }),
    );
  return { clock, breaker, events, call, fail };
}

test("opens after three failures in a row, and makes no call for half a minute", async () => {
  const { clock, breaker, events, call, fail } = bench();
  await fail();
  await fail();
  expect(breaker.stateOf()).toBe("closed");
  await fail();
  expect([breaker.stateOf(), events]).toEqual(["open", ["open"]]);
  clock.advance(29_999);
  let made = false;
  const error = await failureOf(
    call(() => {
      made = true;
      return "";
    }),
  );
  expect(made).toBe(false);
  expect([error.code, error.metadata.get("retry-after"), isCircuitOpen(error)]).toEqual([Code.Unavailable, "1", true]);
  expect(error.cause).toBeInstanceOf(PluginHostError);
  expect(error.cause).toMatchObject({ code: "CIRCUIT_OPEN" });
  expect(error.message).toContain("[unavailable] no");
});

test("lets one call try when the time is over; if it succeeds the circuit is closed", async () => {
  const { clock, breaker, events, call, fail } = bench();
  for (let count = 0; count < 3; count++) await fail();
  clock.advance(30_000);
  const answer = deferred<string>();
  const trial = call(() => answer.promise);
  expect(breaker.stateOf()).toBe("half-open");
  const refused = await failureOf(call(() => "second"));
  expect(isCircuitOpen(refused)).toBe(true);
  answer.resolve("works");
  expect(textOf(await trial)).toBe("works");
  expect(events).toEqual(["open", "half-open", "closed"]);
  expect(textOf(await call(() => "again"))).toBe("again");
});

test("a trial that fails opens it anew for the whole time", async () => {
  const { clock, breaker, events, fail } = bench();
  for (let count = 0; count < 3; count++) await fail();
  clock.advance(30_000);
  expect(isCircuitOpen(await fail())).toBe(false);
  clock.advance(29_999);
  expect(isCircuitOpen(await fail())).toBe(true);
  expect([breaker.stateOf(), events]).toEqual(["open", ["open", "half-open", "open"]]);
});

test("a trial that its caller gives up says nothing: the next call tries", async () => {
  const { clock, breaker, fail, call } = bench();
  for (let count = 0; count < 3; count++) await fail();
  clock.advance(30_000);
  expect((await fail(Code.Canceled)).code).toBe(Code.Canceled);
  expect(breaker.stateOf()).toBe("half-open");
  expect(textOf(await call(() => "works"))).toBe("works");
  expect(breaker.stateOf()).toBe("closed");
});

test("a call from before the change has no say after it", async () => {
  const { clock, breaker, fail, call } = bench();
  const early = deferred<string>();
  const slow = call(() => early.promise);
  for (let count = 0; count < 3; count++) await fail();
  early.resolve("late success");
  await slow;
  expect(breaker.stateOf()).toBe("open");
  clock.advance(30_000);
  await call(() => "works");
  expect(breaker.stateOf()).toBe("closed");
});

const codes = Object.values(Code).filter((code): code is Code => typeof code === "number");
const providers = [Code.Unavailable, Code.DeadlineExceeded, Code.Internal, Code.Unknown, Code.DataLoss];

test.each(codes.map((code) => ({ name: Code[code], code, counts: providers.includes(code) })))(
  "three times $name opens it: $counts",
  async ({ code, counts }) => {
    const { breaker, fail } = bench();
    for (let count = 0; count < 3; count++) await fail(code);
    expect(breaker.stateOf()).toBe(counts ? "open" : "closed");
  },
);

test("one bad provider among several that take turns opens nothing", async () => {
  const { breaker, fail, call } = bench();
  for (let count = 0; count < 20; count++) {
    await fail();
    await fail();
    await call(() => "from the other");
  }
  expect(breaker.stateOf()).toBe("closed");
});

test("successes of others at the same time do not hide failures that come after them", async () => {
  const { breaker, call } = bench();
  const ends = Array.from({ length: 4 }, () => deferred<string>());
  const calls = ends.map(({ promise }) => call(() => promise).catch(() => {}));
  const [ok, ...bad] = ends;
  ok?.resolve("ok");
  await calls[0];
  for (const end of bad) end.reject(failure());
  await Promise.all(calls);
  expect(breaker.stateOf()).toBe("open");
});

test("each key has a circuit of its own", async () => {
  const { breaker, call } = bench({ keyOf: ({ header }) => header.get("x-to") ?? "" });
  const to = (name: string) =>
    call(
      () => {
        if (name === "bad") throw failure();
        return name;
      },
      { "x-to": name },
    );
  for (let count = 0; count < 3; count++) await failureOf(to("bad"));
  expect([breaker.stateOf("bad"), breaker.stateOf("good")]).toEqual(["open", "closed"]);
  expect(textOf(await to("good"))).toBe("good");
  expect(isCircuitOpen(await failureOf(to("bad")))).toBe(true);
});

test("a reason to try again makes the next call the trial", async () => {
  const { breaker, fail, call } = bench();
  for (let count = 0; count < 3; count++) await fail();
  breaker.retest();
  expect(breaker.stateOf()).toBe("open");
  expect(textOf(await call(() => "works"))).toBe("works");
  expect(breaker.stateOf()).toBe("closed");
});

test("streams count by what comes first, and by how they break", async () => {
  const { breaker } = bench({ failures: 1 });
  const stream = await streamThrough(breaker, async function* () {
    yield "a";
    throw failure(Code.Unavailable);
  });
  const read = async (): Promise<void> => {
    for await (const _ of stream);
  };
  await expect(read()).rejects.toMatchObject({ code: Code.Unavailable });
  expect(breaker.stateOf()).toBe("open");
});

describe("a stream with a first message", () => {
  type Breaker = ReturnType<typeof bench>["breaker"];
  const broken = async (breaker: Breaker, code = Code.Internal): Promise<void> => {
    const stream = await streamThrough(breaker, async function* () {
      yield "a";
      throw failure(code);
    });
    await expect(textsOf(stream)).rejects.toMatchObject({ code });
  };
  const textsOf = async (stream: AsyncIterable<string>): Promise<string[]> => {
    const all: string[] = [];
    for await (const text of stream) all.push(text);
    return all;
  };
  const whole = async (breaker: Breaker): Promise<unknown> =>
    textsOf(
      await streamThrough(breaker, async function* () {
        yield "a";
      }),
    );
  const left = async (breaker: Breaker): Promise<unknown> => {
    const stream = await streamThrough(breaker, async function* () {
      yield "a";
      yield "b";
    });
    for await (const text of stream) return text;
    return undefined;
  };

  test("and a break after it counts like a call that fails", async () => {
    const { breaker } = bench();
    for (let count = 0; count < 2; count++) await broken(breaker);
    expect(breaker.stateOf()).toBe("closed");
    await broken(breaker);
    expect(breaker.stateOf()).toBe("open");
  });

  test.each([
    { how: "a clean end", end: whole },
    { how: "a reader who has had enough", end: left },
    { how: "a caller who gives it up", end: (breaker: Breaker) => broken(breaker, Code.Canceled) },
    { how: "an error that is an answer", end: (breaker: Breaker) => broken(breaker, Code.NotFound) },
  ])("ends a row of failures with $how", async ({ end }) => {
    const { breaker } = bench();
    for (let rows = 0; rows < 3; rows++) {
      for (let count = 0; count < 2; count++) await broken(breaker);
      await end(breaker);
    }
    expect(breaker.stateOf()).toBe("closed");
  });

  test("whose time is over says nothing", async () => {
    const { breaker } = bench();
    for (let count = 0; count < 5; count++) await broken(breaker, Code.DeadlineExceeded);
    expect(breaker.stateOf()).toBe("closed");
    await broken(breaker);
    await broken(breaker);
    await broken(breaker, Code.DeadlineExceeded);
    await broken(breaker);
    expect(breaker.stateOf()).toBe("open");
  });

  test("closes a circuit with that; a break after it is the first failure of a new row", async () => {
    const { clock, breaker, events } = bench();
    for (let count = 0; count < 3; count++) await broken(breaker);
    clock.advance(30_000);
    await broken(breaker);
    expect([breaker.stateOf(), events]).toEqual(["closed", ["open", "half-open", "closed"]]);
    await broken(breaker);
    expect(breaker.stateOf()).toBe("closed");
    await broken(breaker);
    expect(breaker.stateOf()).toBe("open");
  });

  test("that breaks after openMs is the first of a new row", async () => {
    const { clock, breaker } = bench();
    const lasting = async (ms: number): Promise<void> => {
      const stream = await streamThrough(breaker, async function* () {
        yield "a";
        clock.advance(ms);
        throw failure();
      });
      await expect(textsOf(stream)).rejects.toMatchObject({ code: Code.Unavailable });
    };
    for (let count = 0; count < 5; count++) await lasting(30_000);
    expect(breaker.stateOf()).toBe("closed");
    for (let count = 0; count < 2; count++) await lasting(29_999);
    expect(breaker.stateOf()).toBe("open");
  });
});

test.each([
  { options: { failures: 0 }, field: "circuitBreaker.failures" },
  { options: { openMs: 0 }, field: "circuitBreaker.openMs" },
  { options: { threshold: 3 }, field: "circuitBreaker.threshold" },
])("$options is refused at $field", ({ options, field }) => {
  expect(() => circuitBreaker(options as CircuitBreakerOptions)).toThrow(
    expect.objectContaining({ code: "INVALID_ARGUMENT", field }),
  );
});

test("a trial without a result, such as a stream that says nothing, makes room for another after openMs", async () => {
  const { clock, breaker, call, fail } = bench();
  for (let count = 0; count < 3; count += 1) await fail();
  clock.advance(30_000);
  const silent = await streamThrough(breaker, async function* () {
    yield await new Promise<string>(() => {});
  });
  void silent[Symbol.asyncIterator]().next();
  expect(breaker.stateOf()).toBe("half-open");
  expect(isCircuitOpen(await failureOf(call(() => "hi")))).toBe(true);
  expect(breaker.isPassable()).toBe(false);
  clock.advance(30_000);
  expect(breaker.isPassable()).toBe(true);
  expect(textOf(await call(() => "hi"))).toBe("hi");
  expect(breaker.stateOf()).toBe("closed");
});
