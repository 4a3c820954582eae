import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { deferred } from "../../../../src/internal/deferred.js";
import {
  type CircuitBreakerOptions,
  type CircuitEvent,
  circuitBreaker,
  isCircuitOpen,
} from "../../../../src/plugin/interceptors/index.js";
import { choosingHost, type Provider } from "../../../support/choosing-host.js";
import { callThrough, failure, failureOf } from "../../../support/intercepted.js";
import { manualClock } from "../../../support/manual-clock.js";

const openMs = 30_000;
const works: Provider = () => {};
const fails: Provider = () => {
  throw failure(Code.Internal);
};

function bench(providers: Record<string, Provider>, options: CircuitBreakerOptions = {}) {
  const clock = manualClock();
  const breaker = circuitBreaker({ clock, ...options });
  const host = choosingHost(providers);
  const events: string[] = [];
  breaker.onChange(({ provider, state }: CircuitEvent) => events.push(`${provider} ${state}`));
  const call = (header?: Record<string, string>): Promise<string> => host.call(breaker, header);
  const calls = async (times: number): Promise<void> => {
    for (let count = 0; count < times; count += 1) await call().catch(() => {});
  };
  return { clock, breaker, host, events, call, calls };
}

test("a provider that fails is avoided, and others are not", async () => {
  const { breaker, host, events, calls } = bench({ bad: fails, good: works });
  await calls(20);
  expect(host.asked.filter((id) => id === "bad")).toHaveLength(3);
  expect(events).toEqual(["bad open"]);
  expect([breaker.stateOf("", "bad"), breaker.stateOf("", "good"), breaker.stateOf()]).toEqual([
    "open",
    "closed",
    "closed",
  ]);
  expect([breaker.isPassable("", "bad"), breaker.isPassable()]).toEqual([false, true]);
  expect(new Set(host.avoided)).toEqual(new Set(["", "bad"]));
});

test("only one call at a time may reach a provider to try it", async () => {
  const { clock, breaker, host, events, call, calls } = bench({ bad: fails, good: works });
  await calls(8);
  clock.advance(openMs);
  const answer = deferred<void>();
  host.providers.set("bad", () => answer.promise);
  host.asked.length = 0;
  host.avoided.length = 0;
  let trial = call();
  if (host.asked[0] === "good") {
    // It went to somebody else, so that the next one may.
    await trial;
    trial = call();
  }
  expect(host.asked.at(-1)).toBe("bad");
  expect(breaker.stateOf("", "bad")).toBe("half-open");
  await calls(4);
  expect(host.avoided.slice(-4)).toEqual(["bad", "bad", "bad", "bad"]);
  answer.resolve();
  expect(await trial).toBe("bad");
  expect(events).toEqual(["bad open", "bad half-open", "bad closed"]);
  expect(breaker.stateOf("", "bad")).toBe("closed");
});

test("one that fails again when it is tried is avoided for the whole time again", async () => {
  const { clock, host, calls } = bench({ bad: fails, good: works });
  await calls(8);
  clock.advance(openMs);
  await calls(8);
  expect(host.asked.filter((id) => id === "bad")).toHaveLength(4);
  clock.advance(openMs - 1);
  await calls(8);
  expect(host.asked.filter((id) => id === "bad")).toHaveLength(4);
});

test("calls fail at once when the host has nobody else, and say when it is worth to come back", async () => {
  const { clock, breaker, call, calls } = bench({ one: fails, two: fails });
  await calls(6);
  clock.advance(10_000);
  const error = await failureOf(call());
  expect(isCircuitOpen(error)).toBe(true);
  expect([error.code, error.metadata.get("retry-after")]).toEqual([Code.Unavailable, "20"]);
  expect([breaker.stateOf(), breaker.isPassable()]).toEqual(["open", false]);
  clock.advance(20_000);
  expect(breaker.isPassable()).toBe(true);
});

test("what a provider that has gone was like does not make one look usable that is not there", async () => {
  const { breaker, host, calls } = bench({ bad: fails, good: works });
  await calls(8);
  host.providers.delete("good");
  expect(breaker.isPassable()).toBe(true);
  await calls(1);
  expect([breaker.stateOf(), breaker.isPassable()]).toEqual(["open", false]);
});

test("a refusal for other reasons is passed on as it is", async () => {
  const { host, call, calls } = bench({ bad: fails, good: works });
  await calls(8);
  host.providers.clear();
  const error = await failureOf(call());
  expect([isCircuitOpen(error), error.rawMessage]).toEqual([false, "nobody"]);
});

test("what nobody is named for counts for the circuit that all have in common", async () => {
  const { breaker, host, events, calls, call } = bench({ one: fails, two: fails });
  host.tells = false;
  await calls(3);
  expect(events).toEqual([" open"]);
  expect(breaker.stateOf("", "one")).toBe("closed");
  expect(isCircuitOpen(await failureOf(call()))).toBe(true);
  expect(host.asked).toHaveLength(3);
});

test("a failure without a name is held against the one that it was let through to try", async () => {
  const { clock, host, breaker, calls } = bench({ bad: fails });
  await calls(3);
  clock.advance(openMs);
  host.tells = false;
  await calls(1);
  expect(breaker.stateOf("", "bad")).toBe("open");
  expect(breaker.isPassable("", "bad")).toBe(false);
});

test("a trial that its caller gives up says nothing: the next call tries", async () => {
  const { clock, host, call, calls } = bench({ bad: fails });
  await calls(3);
  clock.advance(openMs);
  host.providers.set("bad", () => {
    throw failure(Code.Canceled);
  });
  host.tells = false;
  await calls(1);
  host.tells = true;
  host.providers.set("bad", works);
  expect(await call()).toBe("bad");
});

test("the host's own refusals show nothing of a provider", async () => {
  const { clock, host, breaker, calls } = bench({ bad: fails });
  await calls(3);
  clock.advance(openMs);
  host.providers.set("bad", () => {
    throw failure(Code.ResourceExhausted, { "x-plugin-not-sent": "me" });
  });
  await calls(1);
  expect(breaker.stateOf("", "bad")).toBe("half-open");
});

test("a provider that is not chosen any more is forgotten after a while", async () => {
  const { clock, host, events, breaker, calls } = bench({ bad: fails, good: works });
  await calls(8);
  host.providers.delete("bad");
  clock.advance(openMs);
  await calls(3);
  expect(breaker.stateOf("", "bad")).toBe("half-open");
  clock.advance(openMs);
  await calls(1);
  expect(events).toEqual(["bad open", "bad half-open", "bad closed"]);
  expect(host.avoided.at(-1)).toBe("");
});

test("after the whole type was gone, whoever is not chosen when it may be is forgotten at once", async () => {
  const { host, events, breaker, calls } = bench({ bad: fails });
  await calls(3);
  host.providers.clear();
  host.providers.set("new", works);
  breaker.retest();
  await calls(1);
  expect(events).toEqual(["bad open", "bad half-open", "bad closed"]);
});

test("retest of one provider leaves the others as they are", async () => {
  const { host, breaker, calls } = bench({ one: fails, two: fails });
  await calls(6);
  breaker.retest("", "two");
  expect([breaker.isPassable("", "one"), breaker.isPassable("", "two")]).toEqual([false, true]);
  host.providers.set("two", works);
  await calls(1);
  expect([breaker.stateOf("", "one"), breaker.stateOf("", "two")]).toEqual(["open", "closed"]);
});

test("never knows, nor avoids, more than 64 providers", async () => {
  const { host, calls, events } = bench({}, { failures: 1 });
  for (let count = 0; count < 80; count += 1) {
    host.providers.clear();
    host.providers.set(`p-${count}`, fails);
    await calls(1);
  }
  expect((host.avoided.at(-1) ?? "").split(",")).toHaveLength(64);
  expect(events.slice(-2)).toEqual(["p-15 closed", "p-79 open"]);
});

test("adds to those whom somebody else avoids", async () => {
  const { host, call, calls } = bench({ bad: fails, good: works, other: works });
  await calls(12);
  expect(await call({ "x-plugin-avoid": "other" })).toBe("good");
  expect(host.avoided.at(-1)).toBe("other,bad");
});

test("what others avoid makes no open circuit of a refusal", async () => {
  const { call } = bench({ good: works });
  const error = await failureOf(call({ "x-plugin-avoid": "good" }));
  expect(isCircuitOpen(error)).toBe(false);
});

test("servers that are no host get no field of it", async () => {
  const breaker = circuitBreaker();
  let header: Headers | undefined;
  await callThrough(breaker, (request) => {
    header = request.header;
    return "";
  });
  expect(header?.has("x-plugin-avoid")).toBe(false);
});

test("each key has providers of its own", async () => {
  const { breaker, host, calls } = bench({ bad: fails }, { keyOf: ({ header }) => header.get("x-to") ?? "" });
  await calls(3);
  expect([breaker.stateOf("", "bad"), breaker.stateOf("other", "bad")]).toEqual(["open", "closed"]);
  await host.call(breaker, { "x-to": "other" }).catch(() => {});
  expect(host.avoided.at(-1)).toBe("");
});
