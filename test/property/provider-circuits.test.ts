import { Code } from "@connectrpc/connect";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Deferred, deferred } from "../../src/internal/deferred.js";
import { circuitBreaker } from "../../src/plugin/interceptors/index.js";
import { choosingHost } from "../support/choosing-host.js";
import { failure, settle } from "../support/intercepted.js";
import { manualClock } from "../support/manual-clock.js";

const ids = ["a", "b"] as const;
const openMs = 1_000;
const limit = 2;

type Step =
  | { readonly kind: "call" }
  | { readonly kind: "end"; readonly which: number; readonly ok: boolean }
  | { readonly kind: "wait"; readonly ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Step>({ kind: "call" }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("end" as const), which: fc.nat(5), ok: fc.nat(3).map((n) => n === 0) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.constantFrom(1, 999, 1_000, 1_000, 1_000) }),
  },
);

test("whatever comes in whatever order, an open provider is asked by one call at a time, and no call is lost while one is closed", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), async (steps) => {
      const clock = manualClock();
      const breaker = circuitBreaker({ clock, failures: limit, openMs });
      const wrong: string[] = [];
      const open: { id: string; end: Deferred<void> }[] = [];
      const provider = (id: string) => () => {
        const end = deferred<void>();
        open.push({ id, end });
        if (breaker.stateOf("", id) === "open") wrong.push(`${id} is asked although its circuit is open`);
        return end.promise;
      };
      const host = choosingHost(Object.fromEntries(ids.map((id) => [id, provider(id)])));
      const outcomes: unknown[] = [];
      const running: Promise<unknown>[] = [];
      for (const one of steps) {
        if (one.kind === "wait") clock.advance(one.ms);
        else if (one.kind === "call") {
          const someClosed = ids.some((id) => breaker.stateOf("", id) === "closed");
          const before = open.length;
          const tried = ids.filter((id) => breaker.stateOf("", id) === "half-open" && !breaker.isPassable("", id));
          running.push(host.call(breaker).catch((error: unknown) => outcomes.push(error)));
          await settle();
          if (someClosed) expect(open.length).toBe(before + 1);
          const [chosen] = open.slice(before);
          if (tried.some((id) => id === chosen?.id)) wrong.push(`${chosen?.id} is tried by two calls at once`);
        } else {
          const [call] = open.splice(one.which % Math.max(1, open.length), 1);
          if (one.ok) call?.end.resolve();
          else call?.end.reject(failure(Code.Internal));
          await settle();
        }
      }
      for (const { end } of open) end.resolve();
      await Promise.all(running);
      // When all is well again and the time is over, everybody is asked again.
      for (const id of ids) host.providers.set(id, () => {});
      clock.advance(openMs);
      for (let count = 0; count < 12; count += 1) await host.call(breaker);
      clock.advance(openMs);
      for (let count = 0; count < 12; count += 1) await host.call(breaker);
      expect(ids.map((id) => breaker.stateOf("", id))).toEqual(["closed", "closed"]);
      expect(wrong).toEqual([]);
    }),
    { numRuns: 100 },
  );
});
