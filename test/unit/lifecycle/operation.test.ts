import { describe, expect, test } from "vitest";
import { PluginHostError } from "../../../src/errors.js";
import { deferred } from "../../../src/internal/deferred.js";
import { Operation } from "../../../src/lifecycle/operation.js";
import { manualClock } from "../../support/manual-clock.js";

const settled = () => new Promise(setImmediate);

function operated(signal?: AbortSignal) {
  const clock = manualClock();
  const events: string[] = [];
  const warnings: string[] = [];
  const operation = new Operation({
    kind: "add",
    clock,
    signal,
    emit: (name, event) => {
      if ("step" in event) events.push(`${event.step} ${event.state} ${event.durationMs}${event.error ? " !" : ""}`);
      else warnings.push(`${name}: ${(event.error as Error).message}`);
    },
  });
  return { clock, events, warnings, operation };
}

test("a step gives its result, and tells when it starts and how long it took", async () => {
  const { operation, events, clock } = operated();
  const work = deferred<string>();
  const step = operation.step("one", 1_000, () => work.promise);
  clock.advance(30);
  work.resolve("result");
  expect(await step).toBe("result");
  expect(events).toEqual(["one started 0", "one done 30"]);
  expect(clock.pending).toBe(0);
});

describe("a step that fails names itself in the error", () => {
  test.each([
    { thrown: new PluginHostError("PLUGIN_PROTOCOL", "odd", { field: "x" }), code: "PLUGIN_PROTOCOL", field: "x" },
    { thrown: new Error("odd"), code: "PLUGIN_FAILED", field: undefined },
    { thrown: "odd", code: "PLUGIN_FAILED", field: undefined },
  ])("for $thrown", async ({ thrown, code, field }) => {
    const { operation, events } = operated();
    const step = operation.step("one", 1_000, () => Promise.reject(thrown));
    await expect(step).rejects.toMatchObject({ step: "one", code, field, message: "odd", cause: thrown });
    expect(events).toEqual(["one started 0", "one failed 0 !"]);
  });

  test("and an inner step keeps its name", async () => {
    const { operation } = operated();
    const thrown = new PluginHostError("PLUGIN_FAILED", "odd", { step: "inner" });
    await expect(operation.step("outer", 1_000, () => Promise.reject(thrown))).rejects.toBe(thrown);
  });

  test("also where it throws before it begins", async () => {
    const { operation } = operated();
    const step = operation.step("one", 1_000, () => {
      throw new Error("at once");
    });
    await expect(step).rejects.toMatchObject({ step: "one", message: "at once" });
  });
});

test("a step that takes too long is given up, after it had a moment to clean up", async () => {
  const { operation, clock, events } = operated();
  const cleanedUp = deferred();
  let error: unknown;
  const step = operation
    .step("slow", 100, async (signal) => {
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      await cleanedUp.promise;
    })
    .catch((reason: unknown) => {
      error = reason;
    });
  clock.advance(100);
  await settled();
  expect(error).toBeUndefined();
  cleanedUp.resolve();
  await step;
  expect(error).toMatchObject({ code: "STEP_TIMEOUT", step: "slow", message: 'add: "slow" took longer than 100 ms' });
  expect(events.at(-1)).toBe("slow failed 100 !");
  expect(clock.pending).toBe(0);
});

test("a step that does not care for its signal is waited for no longer than a second", async () => {
  const { operation, clock } = operated();
  const step = expect(operation.step("deaf", 100, () => new Promise(() => {}))).rejects.toMatchObject({
    code: "STEP_TIMEOUT",
  });
  clock.advance(100);
  await settled();
  clock.advance(1_000);
  await step;
});

describe("the signal", () => {
  test("ends the step that runs, with its reason as cause", async () => {
    const controller = new AbortController();
    const { operation } = operated(controller.signal);
    const step = operation.step("one", 1_000, (signal) => new Promise((_, no) => signal.addEventListener("abort", no)));
    controller.abort(new Error("enough"));
    await expect(step).rejects.toMatchObject({ code: "OPERATION_ABORTED", step: "one", cause: { message: "enough" } });
  });

  test("keeps the next step from running", async () => {
    const { operation } = operated(AbortSignal.abort());
    let ran = false;
    const step = operation.step("one", 1_000, () => {
      ran = true;
    });
    await expect(step).rejects.toMatchObject({ code: "OPERATION_ABORTED" });
    expect(ran).toBe(false);
  });

  test("has no effect after the commit", async () => {
    const controller = new AbortController();
    const { operation } = operated(controller.signal);
    await operation.step("commit", 1_000, () => operation.commit());
    controller.abort();
    expect(await operation.step("after", 1_000, () => "done")).toBe("done");
  });

  test("does not undo a commit that was just made", async () => {
    const controller = new AbortController();
    const { operation } = operated(controller.signal);
    await operation.step("commit", 1_000, () => {
      operation.commit();
      controller.abort();
    });
  });
});

describe("rolling back", () => {
  test("undoes everything in reverse order, one after the other", async () => {
    const { operation } = operated();
    const undone: string[] = [];
    for (const name of ["a", "b", "c"]) {
      operation.onRollback(async () => {
        await settled();
        undone.push(name);
      });
    }
    await operation.rollback();
    await operation.rollback();
    expect(undone).toEqual(["c", "b", "a"]);
  });

  test("goes on where undoing fails, and warns", async () => {
    const { operation, warnings } = operated();
    let undone = false;
    operation.onRollback(() => {
      undone = true;
    });
    operation.onRollback(() => Promise.reject(new Error("stuck")));
    await operation.rollback();
    expect({ undone, warnings }).toEqual({ undone: true, warnings: ["warning: stuck"] });
  });

  test("goes on where undoing hangs, and warns", async () => {
    const { operation, warnings, clock } = operated();
    let undone = false;
    operation.onRollback(() => {
      undone = true;
    });
    operation.onRollback(() => new Promise(() => {}));
    const rollback = operation.rollback();
    clock.advance(5_000);
    await rollback;
    expect({ undone, warnings }).toEqual({
      undone: true,
      warnings: ["warning: it was not undone within 5000 ms"],
    });
  });

  test("undoes at once what comes too late to be remembered", async () => {
    const { operation } = operated();
    await operation.rollback();
    let undone = false;
    operation.onRollback(() => {
      undone = true;
    });
    await settled();
    expect(undone).toBe(true);
  });

  test("does nothing after the commit", async () => {
    const { operation } = operated();
    let undone = false;
    const undo = (): void => {
      undone = true;
    };
    operation.onRollback(undo);
    operation.commit();
    operation.onRollback(undo);
    await operation.rollback();
    expect(undone).toBe(false);
  });
});
