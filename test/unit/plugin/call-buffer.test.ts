import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { type Deferred, deferred } from "../../../src/internal/deferred.js";
import { notSentField } from "../../../src/model/not-sent.js";
import { type CallBufferOptions, callBuffer, type DependencyState } from "../../../src/plugin/index.js";
import { manualClock } from "../../support/manual-clock.js";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const refused = () => new ConnectError("nobody is ready", Code.Unavailable, { [notSentField]: "me" });
const lost = () => new ConnectError("the connection broke", Code.Unavailable);

/** A buffer of texts, whose calls succeed at once until `answer` says otherwise. */
function bufferOf(given: Partial<CallBufferOptions<string>> = {}) {
  const clock = manualClock();
  const sent: string[] = [];
  const told: string[] = [];
  const control = { answer: (_text: string): Promise<void> | undefined => undefined };
  let listen = (_: DependencyState): void => {};
  let stop = (): Promise<void> => Promise.resolve();
  const buffer = callBuffer<"log", string>(
    {
      onDependency: (_, listener) => {
        listen = listener;
      },
      onStop: (listener) => {
        stop = listener;
      },
    },
    "log",
    {
      clock,
      send: async (text) => {
        sent.push(text);
        await control.answer(text);
      },
      onChange: (state) => told.push(state),
      onDrop: (text, reason, error) =>
        told.push(`${text} ${reason}${error === undefined ? "" : ` ${error.rawMessage}`}`),
      ...given,
    },
  );
  return {
    buffer,
    clock,
    sent,
    told,
    control,
    is: (state: DependencyState["state"]) => listen({ state, reason: "" }),
    stop: () => stop(),
  };
}

describe("a call buffer", () => {
  test("passes items on in their order, one call after the other", async () => {
    const { buffer, sent, control, told } = bufferOf();
    const calls: Deferred<void>[] = [];
    control.answer = () => {
      const call = deferred();
      calls.push(call);
      return call.promise;
    };
    for (const text of ["a", "b"]) expect(buffer.add(text)).toBe(true);
    await turn();
    expect([sent, buffer.kept]).toEqual([["a"], 2]);
    calls[0]?.resolve();
    await turn();
    expect([sent, buffer.kept]).toEqual([["a", "b"], 1]);
    calls[1]?.resolve();
    await turn();
    expect([buffer.kept, buffer.dropped, told]).toEqual([0, 0, []]);
  });

  test("keeps items while the dependency is unavailable, without a try and without a timer, and sends them in order after that", async () => {
    const { buffer, sent, is, told, clock } = bufferOf();
    is("unavailable");
    for (const text of ["a", "b", "c"]) buffer.add(text);
    await clock.advanceAsync(60_000);
    expect([sent, buffer.kept, buffer.state, clock.pending]).toEqual([[], 3, "keeping", 0]);
    is("degraded");
    await turn();
    expect([sent, buffer.kept, buffer.state]).toEqual([["a", "b", "c"], 0, "passing"]);
    expect(told).toEqual(["keeping", "passing"]);
  });

  test("goes on where it was when the dependency is lost between two items, and sends none of them twice", async () => {
    const { buffer, sent, is, control } = bufferOf();
    const second = deferred();
    control.answer = (text) => (text === "b" ? second.promise : undefined);
    for (const text of ["a", "b", "c"]) buffer.add(text);
    await turn();
    is("unavailable");
    second.resolve();
    await turn();
    expect([sent, buffer.kept]).toEqual([["a", "b"], 1]);
    is("available");
    is("available");
    await turn();
    expect([sent, buffer.kept, buffer.dropped]).toEqual([["a", "b", "c"], 0, 0]);
  });

  test("drops the oldest when there is no room, but not the one that is under way", async () => {
    const { buffer, sent, is, told, control } = bufferOf({ maxKept: 2 });
    const first = deferred();
    control.answer = (text) => (text === "a" ? first.promise : undefined);
    for (const text of ["a", "b", "c"]) expect(buffer.add(text)).toBe(true);
    expect([buffer.kept, buffer.dropped]).toEqual([2, 1]);
    first.resolve();
    await turn();
    is("unavailable");
    for (const text of ["d", "e", "f"]) buffer.add(text);
    is("available");
    await turn();
    expect(sent).toEqual(["a", "c", "e", "f"]);
    expect(buffer.dropped).toBe(2);
    expect(told).toEqual(["b overflow", "keeping", "d overflow", "passing"]);
  });

  test("refuses items when there is no room, if that is wanted", async () => {
    const { buffer, sent, is, told } = bufferOf({ maxKept: 1, overflow: "refuse" });
    is("unavailable");
    expect(["a", "b"].map((text) => buffer.add(text))).toEqual([true, false]);
    is("available");
    await turn();
    expect([sent, buffer.dropped]).toEqual([["a"], 1]);
    expect(told).toEqual(["keeping", "b overflow", "passing"]);
  });

  test("tries again a while after the host has passed a call to nobody", async () => {
    const { buffer, sent, control, clock, told } = bufferOf({ retryMs: 200 });
    control.answer = () => Promise.reject(refused());
    buffer.add("a");
    await turn();
    buffer.add("b");
    await clock.advanceAsync(199);
    expect([sent, clock.pending]).toEqual([["a"], 1]);
    control.answer = () => undefined;
    await clock.advanceAsync(1);
    expect([sent, buffer.dropped, clock.pending]).toEqual([["a", "a", "b"], 0, 0]);
    expect(told).toEqual(["keeping", "passing"]);
  });

  test("does not send again what somebody may have got: it tells that it is dropped, and goes on", async () => {
    const { buffer, sent, control, told, clock } = bufferOf();
    control.answer = (text) => (text === "a" ? Promise.reject(lost()) : undefined);
    for (const text of ["a", "b"]) buffer.add(text);
    await turn();
    expect([sent, buffer.kept, buffer.dropped, clock.pending]).toEqual([["a", "b"], 0, 1, 0]);
    expect(told).toEqual(["a failed the connection broke"]);
  });

  test("sends again what may be sent twice", async () => {
    const { buffer, sent, control, clock } = bufferOf({
      isRepeatable: ({ code }, text) => text === "a" && code === 14,
    });
    control.answer = () => Promise.reject(lost());
    buffer.add("a");
    await turn();
    control.answer = () => undefined;
    await clock.advanceAsync(1_000);
    expect([sent, buffer.dropped]).toEqual([["a", "a"], 0]);
  });

  test("survives listeners that throw", async () => {
    const broken = (): never => {
      throw new Error("broken");
    };
    const { buffer, is, control } = bufferOf({ onChange: broken, onDrop: broken, isRepeatable: broken });
    is("unavailable");
    buffer.add("a");
    control.answer = () => Promise.reject(lost());
    is("available");
    await turn();
    expect([buffer.kept, buffer.dropped]).toEqual([0, 1]);
  });
});

describe("a call buffer of a plugin that stops", () => {
  test("sends what is left if it can, and takes nothing any more", async () => {
    const { buffer, sent, stop, clock } = bufferOf();
    for (const text of ["a", "b"]) buffer.add(text);
    await stop();
    expect([sent, buffer.add("c"), buffer.dropped, clock.pending]).toEqual([["a", "b"], false, 1, 0]);
  });

  test("makes one more try if it was waiting for one, and no second", async () => {
    const { buffer, sent, stop, clock, control, told } = bufferOf();
    control.answer = () => Promise.reject(refused());
    buffer.add("a");
    await turn();
    await stop();
    expect([sent, buffer.kept, buffer.dropped, clock.pending]).toEqual([["a", "a"], 0, 1, 0]);
    expect(told).toEqual(["keeping", "a stopped"]);
  });

  test("drops what is left at once while the dependency is away", async () => {
    const { buffer, sent, is, stop, told, clock } = bufferOf();
    is("unavailable");
    buffer.add("a");
    await stop();
    is("available");
    await turn();
    expect([sent, buffer.kept, buffer.dropped, clock.pending]).toEqual([[], 0, 1, 0]);
    expect(told).toEqual(["keeping", "a stopped", "passing"]);
  });

  test("waits no longer than it may for a call that hangs, and tells the call", async () => {
    let signal: AbortSignal | undefined;
    const { buffer, stop, clock } = bufferOf({
      stopMs: 300,
      send: (_, given) => {
        signal = given;
        return new Promise(() => {});
      },
    });
    for (const text of ["a", "b"]) buffer.add(text);
    const stopped = stop();
    await clock.advanceAsync(299);
    expect(signal?.aborted).toBe(false);
    clock.advance(1);
    await stopped;
    expect([signal?.aborted, buffer.kept, buffer.dropped, clock.pending]).toEqual([true, 0, 2, 0]);
  });
});

test.each([
  [{ maxKept: 0 }, "callBuffer.maxKept"],
  [{ maxKept: 1.5 }, "callBuffer.maxKept"],
  [{ overflow: "drop-newest" as never }, "callBuffer.overflow"],
  [{ retryMs: 0 }, "callBuffer.retryMs"],
  [{ stopMs: -1 }, "callBuffer.stopMs"],
  [{ send: undefined as never }, "callBuffer.send"],
  [{ limit: 1 } as never, "callBuffer"],
])("a call buffer with %o is refused, with the option's name", (given, name) => {
  expect(() => bufferOf(given)).toThrow(name);
});
