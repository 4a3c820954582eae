import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { notSentField } from "../../../../src/model/not-sent.js";
import { fallback, lastAnswers } from "../../../../src/plugin/interceptors/index.js";
import { Echo } from "../../../support/gen/echo/v1/echo_pb.js";
import { callThrough, failure, failureOf, textOf } from "../../../support/intercepted.js";
import { manualClock } from "../../../support/manual-clock.js";

describe("a fallback", () => {
  const toSay = fallback(Echo.method.say, ({ text }, { code }) => ({ text: `instead of ${text}: ${Code[code]}` }));

  test.each([
    { error: failure(Code.Unavailable), instead: true, why: "nobody could be asked" },
    { error: failure(Code.DeadlineExceeded), instead: true, why: "nobody answered" },
    { error: failure(Code.NotFound, { [notSentField]: "me" }), instead: true, why: "there is no provider" },
    { error: failure(Code.NotFound), instead: false, why: "the provider has answered that" },
    { error: failure(Code.InvalidArgument), instead: false, why: "the caller's mistake" },
    { error: failure(Code.Canceled), instead: false, why: "nobody waits for it" },
  ])("$error.code is answered: $instead ($why)", async ({ error, instead }) => {
    const call = callThrough(toSay, () => {
      throw error;
    });
    if (instead) expect(textOf(await call)).toBe(`instead of hi: ${Code[error.code]}`);
    else expect(await failureOf(call)).toBe(error);
  });

  test("is for its method only", async () => {
    const toOther = fallback({ ...Echo.method.say, name: "Other" }, () => ({ text: "wrong" }));
    const call = callThrough(toOther, () => {
      throw failure();
    });
    expect((await failureOf(call)).code).toBe(Code.Unavailable);
  });
});

describe("last answers", () => {
  const kept = { idempotency: "no-side-effects" } as const;

  test("are given again, with their age, while nobody can be asked", async () => {
    const clock = manualClock();
    const interceptor = lastAnswers({ clock, maxAgeMs: 60_000 });
    await callThrough(interceptor, () => "fresh", kept);
    clock.advance(1_500);
    const gone = () =>
      callThrough(
        interceptor,
        () => {
          throw failure();
        },
        kept,
      );
    const answer = await gone();
    expect([textOf(answer), answer.header.get("x-plugin-answer-age-ms")]).toEqual(["fresh", "1500"]);
    clock.advance(58_501);
    expect((await failureOf(gone())).code).toBe(Code.Unavailable);
  });

  test("are those to the same question only, and never of calls that may change something", async () => {
    const interceptor = lastAnswers({ clock: manualClock() });
    const ask = (setup: object, fails: boolean) =>
      callThrough(
        interceptor,
        () => {
          if (fails) throw failure();
          return "answer";
        },
        setup,
      );
    await ask({ ...kept, text: "a" }, false);
    await ask({ idempotency: "idempotent", text: "b" }, false);
    expect((await failureOf(ask({ ...kept, text: "b" }, true))).code).toBe(Code.Unavailable);
    expect((await failureOf(ask({ idempotency: "idempotent", text: "b" }, true))).code).toBe(Code.Unavailable);
    expect(textOf(await ask({ ...kept, text: "a" }, true))).toBe("answer");
  });

  test("are no more than the option says", async () => {
    const interceptor = lastAnswers({ clock: manualClock(), maxEntries: 2 });
    for (const text of ["a", "b", "c"]) await callThrough(interceptor, () => text, { ...kept, text });
    const again = (text: string) =>
      callThrough(
        interceptor,
        () => {
          throw failure();
        },
        { ...kept, text },
      );
    expect([textOf(await again("b")), textOf(await again("c"))]).toEqual(["b", "c"]);
    expect((await failureOf(again("a"))).code).toBe(Code.Unavailable);
  });
});
