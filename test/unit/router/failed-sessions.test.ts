import { expect, test } from "vitest";
import { deferred } from "../../../src/internal/deferred.js";
import { targetAddress } from "../../../src/router/target-address.js";
import type { UpstreamEvents } from "../../../src/router/upstream.js";
import { Http2Upstream } from "../../../src/router/upstream-http2.js";
import { within } from "../../support/http-server.js";
import {
  dataFrame,
  goawayFrame,
  headFrame,
  type RawProviderHandler,
  startRawHttp2Provider,
} from "../../support/http2-raw-provider.js";
import { type ManualClock, manualClock } from "../../support/manual-clock.js";

const ok = [[":status", "200"]] as const;

/** Calls a provider without a host around it, by a clock that stands still. */
async function start(handler: RawProviderHandler) {
  const provider = await startRawHttp2Provider(handler);
  const clock = manualClock();
  const target = targetAddress(provider.address(["h2c"]));
  if (target === undefined) throw new Error("no target");
  const upstream = new Http2Upstream(target, {
    clock,
    connectTimeoutMs: 5_000,
    idleSessionMs: 60_000,
    maxStreamsPerSession: 100,
    maxHeaderBytes: 65_536,
  });
  return {
    clock,
    provider,
    /** A GET, with what has become of it. */
    get() {
      const answered = deferred<number>();
      const over = deferred<string>();
      const call = upstream.start(
        { method: "GET", path: "/", fields: [], hasBody: false, length: undefined, expectsContinue: false },
        {
          ready() {},
          drained() {},
          informational() {},
          data() {},
          answered: (status) => answered.resolve(status),
          ended: () => over.resolve("ended"),
          broken: ({ kind }) => over.resolve(kind),
        } satisfies UpstreamEvents,
      );
      return { call, answered: answered.promise, over: over.promise };
    },
    async [Symbol.asyncDispose]() {
      upstream.close();
      await provider[Symbol.asyncDispose]();
    },
  };
}

/** What `promise` becomes while `clock` is moved on in steps, and how far it was moved. */
async function passing<T>(clock: ManualClock, promise: Promise<T>): Promise<readonly [value: T, ms: number]> {
  let value: { readonly it: T } | undefined;
  void promise.then((it) => {
    value = { it };
  });
  let ms = 0;
  for (; value === undefined && ms < 120_000; ms += 500) await clock.advanceAsync(500);
  return [(value ?? { it: await within(5_000, "the end", promise) }).it, ms];
}

/** A provider that breaks its first connection with the second call on it, and leaves TCP open; later ones are good. */
async function startBreaking() {
  const gone = deferred();
  const both = await start({
    request({ socket, number }, id) {
      if (number > 1) socket.write(Buffer.concat([headFrame(id, ok), dataFrame(id, "fine", true)]));
      else if (id === 1) socket.write(headFrame(id, ok));
      else socket.write(dataFrame(id, "a body without a head", true));
    },
    goaway: () => gone.resolve(),
  });
  const watch = both.get();
  expect(await within(5_000, "the watch", watch.answered)).toBe(200);
  const bad = both.get();
  await within(5_000, "the notice that the connection has failed", gone.promise);
  return { ...both, watch, bad };
}

test("a connection that has failed without a word ends within seconds once a call cannot leave on it", async () => {
  await using both = await startBreaking();
  const stranded = both.get();
  const [ends, ms] = await passing(both.clock, Promise.all([both.watch.over, both.bad.over]));
  expect(ends).toEqual(["broken", "broken"]);
  // Nothing of it was sent, so it may go elsewhere. Newer versions of Node tell at once, and a new connection serves it then.
  expect(["refused", "ended"]).toContain(await within(5_000, "the call that cannot leave", stranded.over));
  expect(ms).toBeLessThanOrEqual(8_000);
  expect(await within(5_000, "the next call", both.get().over)).toBe("ended");
});

test("a connection that has failed without a word takes no more calls once one on it is given up unsent", async () => {
  await using both = await startBreaking();
  const stranded = both.get();
  await both.clock.advanceAsync(0);
  stranded.call.cancel();
  // Given up at the end of this turn, and found out with that.
  await both.clock.advanceAsync(0);
  await both.clock.advanceAsync(0);
  expect(await within(5_000, "the next call", both.get().over)).toBe("ended");
  const [ends, ms] = await passing(both.clock, Promise.all([both.watch.over, both.bad.over]));
  expect(ends).toEqual(["broken", "broken"]);
  expect(ms).toBeLessThanOrEqual(6_000);
});

test("a provider that has said GOAWAY is still asked whether it is there, and its call ends when it is not", async () => {
  const sessions: { write(bytes: Buffer): void }[] = [];
  let isThere = true;
  let asked = 0;
  await using both = await start({
    request({ socket }, id) {
      sessions.push(socket);
      socket.write(Buffer.concat([headFrame(id, ok), goawayFrame(id)]));
    },
    isThere: () => {
      asked++;
      return isThere;
    },
  });
  const watch = both.get();
  expect(await within(5_000, "the watch", watch.answered)).toBe(200);
  let over: string | undefined;
  void watch.over.then((kind) => {
    over = kind;
  });
  const before = asked;
  while (asked === before) await both.clock.advanceAsync(1_000);
  // Its answer is on the way; moved on only when that has come.
  while (both.clock.delays()[0] !== 1_000) await new Promise<void>((resolve) => setImmediate(resolve));
  expect(over).toBeUndefined();
  isThere = false;
  const [kind, ms] = await passing(both.clock, watch.over);
  expect(kind).toBe("broken");
  expect(ms).toBeLessThanOrEqual(36_000);
});

test("a provider of a quiet stream is asked whether it is there, but by no pings, which servers count", async () => {
  const asked: string[] = [];
  await using both = await start({
    request: ({ socket }, id) => void socket.write(headFrame(id, ok)),
    isThere: (by) => {
      asked.push(by);
      return true;
    },
  });
  const watch = both.get();
  expect(await within(5_000, "the watch", watch.answered)).toBe(200);
  for (let minutes = 0; minutes < 5; minutes++) {
    const before = asked.length;
    while (asked.length === before) await both.clock.advanceAsync(1_000);
    // Its answer is on the way; moved on only when that has come.
    while (both.clock.delays()[0] !== 1_000) await new Promise<void>((resolve) => setImmediate(resolve));
  }
  expect(new Set(asked)).toEqual(new Set(["settings"]));
  watch.call.cancel();
});
