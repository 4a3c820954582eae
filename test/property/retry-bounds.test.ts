import { Code } from "@connectrpc/connect";
import fc from "fast-check";
import { expect, test } from "vitest";
import { retry } from "../../src/plugin/interceptors/index.js";
import { callThrough, failure, settle } from "../support/intercepted.js";
import { manualClock } from "../support/manual-clock.js";

const outcome = fc.record({
  takesMs: fc.integer({ min: 0, max: 2_000 }),
  code: fc.constantFrom(Code.Unavailable, Code.Internal, Code.ResourceExhausted, Code.NotFound, Code.DeadlineExceeded),
  retryAfterS: fc.option(fc.integer({ min: 0, max: 20 }), { nil: undefined }),
  ok: fc.boolean(),
});

test("there are never more attempts than allowed, none at or after the deadline, and none before its time", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        maxAttempts: fc.integer({ min: 1, max: 6 }),
        firstDelayMs: fc.integer({ min: 0, max: 3_000 }),
        deadlineMs: fc.option(fc.integer({ min: 1, max: 10_000 }), { nil: undefined }),
        random: fc.double({ min: 0, max: 0.999, noNaN: true }),
        idempotency: fc.constantFrom("idempotent" as const, "unknown" as const),
        outcomes: fc.array(outcome, { minLength: 6, maxLength: 6 }),
      }),
      async ({ maxAttempts, firstDelayMs, deadlineMs, random, idempotency, outcomes }) => {
        const clock = manualClock();
        const begun: number[] = [];
        const earliest: number[] = [0];
        let isOver = false;
        const interceptor = retry({ clock, maxAttempts, firstDelayMs, random: () => random });
        const call = callThrough(
          interceptor,
          (_, count) =>
            new Promise<string>((resolve, reject) => {
              begun.push(clock.monotonic());
              const { takesMs, code, retryAfterS, ok } = outcomes[count - 1] as (typeof outcomes)[number];
              clock.after(takesMs, () => {
                earliest.push(clock.monotonic() + (retryAfterS ?? 0) * 1_000);
                if (ok) resolve("ok");
                else reject(failure(code, retryAfterS === undefined ? {} : { "retry-after": String(retryAfterS) }));
              });
            }),
          {
            idempotency,
            header: deadlineMs === undefined ? {} : { "connect-timeout-ms": String(deadlineMs) },
          },
        )
          .catch(() => {})
          .finally(() => {
            isOver = true;
          });
        await settle();
        while (!isOver) {
          clock.advance(clock.delays()[0] ?? 0);
          await settle();
        }
        await call;
        expect(begun.length).toBeLessThanOrEqual(idempotency === "unknown" ? 1 : maxAttempts);
        for (const [index, at] of begun.entries()) {
          expect(at).toBeGreaterThanOrEqual(earliest[index] as number);
          if (index > 0 && deadlineMs !== undefined) expect(at).toBeLessThan(deadlineMs);
        }
        expect(clock.pending).toBe(0);
      },
    ),
    { numRuns: 60 },
  );
});
