import { afterEach, describe, expect, test } from "vitest";
import { PluginHostError } from "../../../src/errors.js";
import { deferred } from "../../../src/internal/deferred.js";
import type { RestartPolicy } from "../../../src/lifecycle/crash-history.js";
import { parseBaseUrl } from "../../../src/model/base-url.js";
import type { PluginDeclaration } from "../../../src/model/declarations.js";
import type { Importance } from "../../../src/model/supervision.js";
import { type FakeProgram, fakeProgram } from "../../support/fake-program.js";
import { benchLimits, lifecycleBench, remoteOf } from "../../support/lifecycle-bench.js";

const policy: RestartPolicy = {
  firstDelayMs: 1_000,
  maxDelayMs: 8_000,
  resetAfterMs: 60_000,
  maxCrashes: 5,
  crashWindowMs: 300_000,
};

const programs = new Set<FakeProgram>();
let answers: Parameters<typeof remoteOf>[0] = {};

/** A lifecycle, and programs for it that tell what they are by the launch that runs last. */
function supervisionBench() {
  const declared: PluginDeclaration[] = [];
  answers = {};
  const bench = lifecycleBench(() => remoteOf({ getPluginInfo: async () => "unimplemented", ...answers }));
  const spec = (
    program: FakeProgram,
    supervision: { restart?: RestartPolicy | undefined; importance?: Importance } = {},
  ) => ({
    launcher: program.launcher,
    declares: program.launcher.declares,
    limits: benchLimits,
    supervision: { restart: policy, importance: "required" as const, ...supervision },
  });
  const program = (selfId: string, requires: readonly string[] = []): FakeProgram => {
    const made = fakeProgram(() => bench.clock.monotonic(), {
      selfId,
      provides: [{ type: selfId, version: "1.0.0", path: "/" }],
      requires: requires.map((type) => ({
        type,
        minVersion: "",
        required: true,
        watch: false,
        source: "declared" as const,
      })),
    });
    programs.add(made);
    return made;
  };
  const latest = (selfId: string) => {
    const found = [...bench.directory.all()].find(
      (plugin) => plugin.selfId === selfId && plugin.visibility.kind === "committed",
    );
    if (found === undefined) throw new Error(`there is no ${selfId}`);
    return found;
  };
  const stateOf = (selfId: string) => latest(selfId).supervision;
  return {
    ...bench,
    declared,
    spec,
    program,
    latest,
    stateOf,
    add: (made: FakeProgram, supervision = {}) => bench.lifecycle.add(spec(made, supervision), undefined),
    untilState: (selfId: string, kind: string) => bench.until(() => stateOf(selfId).kind === kind),
    untilRunningAgain: (selfId: string, restarts: number) =>
      bench.until(() => {
        const state = stateOf(selfId);
        return state.kind === "running" && state.restarts === restarts;
      }),
    /** A step has begun, and waits for something. */
    async untilStep(wanted: string) {
      await bench.until(() =>
        bench.events.some(({ name, event }) => {
          const { step, state } = event as { step: string; state: string };
          return name === "step" && step === wanted && state === "started";
        }),
      );
      await new Promise(setImmediate);
    },
  };
}

const restart = () => ({ restart: policy });

afterEach(() => programs.clear());

test("a program that keeps crashing is started at exact times, then quarantined; release brings it back", async () => {
  const bench = supervisionBench();
  const program = bench.program("echo");
  await bench.add(program, restart());
  for (const [index, delayMs] of [750, 1_500, 3_000, 6_000].entries()) {
    const at = bench.clock.monotonic();
    program.crash("its process exited with code 3");
    await bench.untilState("echo", "restarting");
    expect(bench.stateOf("echo")).toMatchObject({ attempt: index + 1, nextAt: bench.clock.now() + delayMs });
    bench.clock.advance(delayMs - 1);
    expect(program.launches).toHaveLength(index + 1);
    bench.clock.advance(1);
    await bench.untilRunningAgain("echo", index + 1);
    expect(program.launches.at(-1)).toBe(at + delayMs);
  }
  program.crash("its process exited with code 3");
  await bench.untilState("echo", "quarantined");
  expect(bench.stateOf("echo")).toMatchObject({ crashes: 5, lastError: "echo ended: its process exited with code 3" });
  bench.clock.advance(3_600_000);
  expect(program.launches).toHaveLength(5);

  const quarantined = bench.latest("echo");
  const released = await bench.lifecycle.release(quarantined.runtimeId);
  expect(released.runtimeId).not.toBe(quarantined.runtimeId);
  expect(released.supervision).toEqual({ kind: "running", restarts: 0 });
  expect(bench.catalog.resolveAlias(quarantined.runtimeId)).toBe(released.runtimeId);
  // How often it had ended is forgotten.
  program.crash();
  await bench.untilState("echo", "restarting");
  expect(bench.stateOf("echo")).toMatchObject({ attempt: 1 });
});

test("while it is down it is listed as unhealthy with cause and time, and its token is worth nothing", async () => {
  const bench = supervisionBench();
  const program = bench.program("echo");
  const first = await bench.add(program, restart());
  const token = bench.identities.rotate(first.runtimeId) ?? "";
  expect(bench.identities.verify(first.runtimeId, token)).toBeDefined();
  program.crash("its process exited with code 3");
  await bench.untilState("echo", "restarting");
  expect(bench.identities.verify(first.runtimeId, token)).toBeUndefined();
  expect(bench.identities.size).toBe(0);
  const again = new Date(bench.clock.now() + 750).toISOString();
  expect(bench.catalog.plugin(first.runtimeId)).toMatchObject({
    phase: { kind: "serving" },
    health: {
      state: "unhealthy",
      cause: "exit",
      reason: `its process exited with code 3; it is started again at ${again}`,
    },
  });
  expect(bench.graph.has(first.runtimeId)).toBe(true);
  expect(program.running).toBe(0);
});

test("a new start becomes visible in one revision, in which the old incarnation goes and its id leads to the new one", async () => {
  const bench = supervisionBench();
  const program = bench.program("echo");
  const first = await bench.add(program, restart());
  program.crash();
  await bench.untilState("echo", "restarting");
  const revisions: (readonly string[])[] = [];
  bench.catalog.subscribe(({ changes }) => revisions.push(changes.map(({ kind }) => kind)));
  bench.clock.advance(750);
  await bench.untilRunningAgain("echo", 1);
  const second = bench.latest("echo");
  expect(revisions.at(-1)).toEqual(["plugin-put", "registration-put", "plugin-removed", "alias-put"]);
  // What came before was the reason of its health only.
  expect(revisions.slice(0, -1).flat()).toEqual(["plugin-put"]);
  expect(bench.catalog.plugins()).toHaveLength(1);
  expect(bench.catalog.resolveAlias(first.runtimeId)).toBe(second.runtimeId);
  expect(first.visibility.kind).toBe("gone");
  expect(bench.graph.ids()).toEqual([second.runtimeId]);
});

test("who added it may go on using the id that it had first", async () => {
  const bench = supervisionBench();
  const program = bench.program("echo");
  const { runtimeId } = await bench.add(program, restart());
  for (const restarts of [1, 2]) {
    program.crash();
    await bench.untilState("echo", "restarting");
    bench.clock.advance(3_000);
    await bench.untilRunningAgain("echo", restarts);
  }
  expect(bench.directory.committed(runtimeId)).toBe(bench.latest("echo"));
  await bench.lifecycle.remove(runtimeId, { reason: "", limits: { ...benchLimits, graceMs: 0 }, signal: undefined });
  expect([...bench.directory.all()]).toEqual([]);
});

test("a program that never becomes healthy again counts as one that crashed, and nothing is left of its starts", async () => {
  const bench = supervisionBench();
  const program = bench.program("echo");
  await bench.add(program, { restart: { ...policy, maxCrashes: 2 } });
  program.crash("it crashed");
  await bench.untilState("echo", "restarting");
  answers = { getHealth: async () => ({ verdict: "unhealthy", reason: "no database", unavailableDependencies: [] }) };
  bench.clock.advance(750);
  await bench.untilStep("health");
  bench.clock.advance(benchLimits.healthMs);
  await bench.untilState("echo", "quarantined");
  expect(bench.stateOf("echo")).toMatchObject({ lastError: expect.stringContaining("no database") });
  expect(bench.latest("echo").health.current.reason).toMatch(/^it crashed, and could not be started: .*no database/);
  expect(program.running).toBe(0);
  expect(bench.identities.size).toBe(0);
  expect([...bench.directory.all()]).toHaveLength(1);
  // Only what belongs to the plugin that is still listed.
  expect(bench.clock.pending).toBe(0);
});

test("a plugin that is not to be started again stays down, until it is released", async () => {
  const bench = supervisionBench();
  const program = bench.program("echo");
  const first = await bench.add(program, { restart: undefined });
  program.crash("its process was ended by SIGKILL");
  await bench.untilState("echo", "ended");
  expect(first.health.current.reason).toBe("its process was ended by SIGKILL");
  expect(bench.clock.delays()).toEqual([]);
  await bench.lifecycle.release(first.runtimeId);
  expect(program.running).toBe(1);
});

test("releasing what runs changes nothing", async () => {
  const bench = supervisionBench();
  const program = bench.program("echo");
  const plugin = await bench.add(program, restart());
  expect(await bench.lifecycle.release(plugin.runtimeId)).toBe(plugin);
  expect(program.launches).toHaveLength(1);
});

test("who releases while a start is under way gets that start", async () => {
  const bench = supervisionBench();
  const program = bench.program("echo");
  const first = await bench.add(program, restart());
  program.crash();
  await bench.untilState("echo", "restarting");
  const gate = deferred();
  program.gate = gate.promise;
  bench.clock.advance(750);
  await bench.untilState("echo", "starting");
  const released = [bench.lifecycle.release(first.runtimeId), bench.lifecycle.release(first.runtimeId)];
  gate.resolve();
  const [one, other] = await Promise.all(released);
  expect(one).toBe(other);
  expect(program.launches).toHaveLength(2);
});

test("a release that fails says why, and the plugin is tried again from the first back-off on", async () => {
  const bench = supervisionBench();
  const program = bench.program("echo");
  const first = await bench.add(program, { restart: { ...policy, maxCrashes: 1 } });
  program.crash();
  await bench.untilState("echo", "quarantined");
  program.gate = Promise.reject(new PluginHostError("COMMAND_NOT_FOUND", "there is no such program"));
  await expect(bench.lifecycle.release(first.runtimeId)).rejects.toMatchObject({ code: "COMMAND_NOT_FOUND" });
  expect(bench.stateOf("echo")).toMatchObject({ kind: "quarantined", lastError: "there is no such program" });
});

describe("what crashes while something else is done to it", () => {
  test("stays down until its replacement has failed, and is started then", async () => {
    const bench = supervisionBench();
    const program = bench.program("echo");
    const first = await bench.add(program, restart());
    const next = bench.program("echo");
    const gate = deferred();
    next.gate = gate.promise;
    const replacing = bench.lifecycle.replace(
      first.runtimeId,
      { ...bench.spec(next), allowMissingServices: false },
      undefined,
    );
    const failed = expect(replacing).rejects.toMatchObject({ code: "PLUGIN_FAILED" });
    program.crash();
    await bench.untilState("echo", "restarting");
    bench.clock.advance(900);
    await new Promise(setImmediate);
    expect(bench.stateOf("echo").kind).toBe("restarting");
    expect(program.launches).toHaveLength(1);
    gate.reject(new PluginHostError("PLUGIN_FAILED", "no"));
    await failed;
    await bench.untilRunningAgain("echo", 1);
    expect(program.launches).toHaveLength(2);
  });

  test("is gone for good when its replacement serves", async () => {
    const bench = supervisionBench();
    const program = bench.program("echo");
    const first = await bench.add(program, restart());
    const next = bench.program("echo");
    const gate = deferred();
    next.gate = gate.promise;
    const replacing = bench.lifecycle.replace(
      first.runtimeId,
      { ...bench.spec(next), allowMissingServices: false },
      undefined,
    );
    program.crash();
    await bench.untilState("echo", "restarting");
    gate.resolve();
    const second = await replacing;
    bench.clock.advance(5_000);
    expect(program.launches).toHaveLength(1);
    expect([...bench.directory.all()]).toEqual([second]);
    expect(bench.catalog.resolveAlias(first.runtimeId)).toBe(second.runtimeId);
  });

  test("is removed all the same", async () => {
    const bench = supervisionBench();
    const program = bench.program("echo");
    const first = await bench.add(program, restart());
    const removing = bench.lifecycle.remove(first.runtimeId, {
      reason: "",
      limits: benchLimits,
      signal: undefined,
    });
    program.crash();
    await removing;
    bench.clock.advance(10_000);
    expect(program.launches).toHaveLength(1);
    expect(bench.clock.pending).toBe(0);
    expect([...bench.directory.all()]).toEqual([]);
  });

  test("is not started again if it crashes while it drains", async () => {
    const bench = supervisionBench();
    const program = bench.program("echo");
    const first = await bench.add(program, restart());
    first.inFlight.enter({ abort: () => {} });
    const removing = bench.lifecycle.remove(first.runtimeId, {
      reason: "",
      limits: { ...benchLimits, graceMs: 0 },
      signal: undefined,
    });
    await bench.untilStep("shutdown");
    program.crash();
    await new Promise(setImmediate);
    expect(first.supervision.kind).toBe("running");
    bench.clock.advance(benchLimits.drainMs);
    await removing;
    expect(program.launches).toHaveLength(1);
    expect(bench.clock.pending).toBe(0);
  });
});

test.each(["remove", "replace"] as const)("%s of a plugin rolls back the start that is under way", async (kind) => {
  const bench = supervisionBench();
  const program = bench.program("echo");
  const first = await bench.add(program, restart());
  program.crash();
  await bench.untilState("echo", "restarting");
  const gate = deferred();
  program.gate = gate.promise;
  bench.clock.advance(750);
  await bench.untilState("echo", "starting");
  const next = bench.program("echo");
  const limits = { ...benchLimits, graceMs: 0 };
  const done =
    kind === "remove"
      ? bench.lifecycle.remove(first.runtimeId, { reason: "", limits, signal: undefined })
      : bench.lifecycle.replace(first.runtimeId, { ...bench.spec(next), allowMissingServices: false }, undefined);
  gate.resolve();
  await done;
  expect(program.running).toBe(0);
  expect(next.running).toBe(kind === "remove" ? 0 : 1);
  expect(bench.identities.size).toBe(next.running);
  expect([...bench.directory.all()]).toHaveLength(next.running);
});

test("a start that was rolled back for an operation that failed is made again, and is no crash", async () => {
  const bench = supervisionBench();
  const program = bench.program("echo");
  const first = await bench.add(program, { restart: { ...policy, maxCrashes: 2 } });
  program.crash();
  await bench.untilState("echo", "restarting");
  const gate = deferred();
  program.gate = gate.promise;
  bench.clock.advance(750);
  await bench.untilStep("start");
  const next = bench.program("echo");
  next.gate = Promise.reject(new PluginHostError("PLUGIN_FAILED", "no"));
  const replacing = bench.lifecycle.replace(
    first.runtimeId,
    { ...bench.spec(next), allowMissingServices: false },
    undefined,
  );
  gate.resolve();
  await expect(replacing).rejects.toMatchObject({ code: "PLUGIN_FAILED" });
  await bench.untilRunningAgain("echo", 1);
  expect(program.running).toBe(1);
  expect(bench.identities.size).toBe(1);
});

test.each(["restarting", "quarantined"] as const)("a %s plugin can be removed and replaced", async (state) => {
  for (const kind of ["remove", "replace"] as const) {
    const bench = supervisionBench();
    const program = bench.program("echo");
    const crashes = state === "quarantined" ? 1 : 5;
    const first = await bench.add(program, { restart: { ...policy, maxCrashes: crashes } });
    program.crash();
    await bench.untilState("echo", state);
    const next = bench.program("echo");
    const limits = { ...benchLimits, graceMs: 0 };
    if (kind === "remove") await bench.lifecycle.remove(first.runtimeId, { reason: "", limits, signal: undefined });
    else {
      const spec = { ...bench.spec(next), allowMissingServices: false };
      const second = await bench.lifecycle.replace(first.runtimeId, spec, undefined);
      expect(bench.catalog.resolveAlias(first.runtimeId)).toBe(second.runtimeId);
      expect(second.supervision).toEqual({ kind: "running", restarts: 0 });
    }
    bench.clock.advance(20_000);
    expect(program.launches).toHaveLength(1);
    expect([...bench.directory.all()]).toHaveLength(next.running);
  }
});

test("of two that crash at once, the one that requires the other waits for it, which is no crash", async () => {
  const bench = supervisionBench();
  const [logger, app] = [bench.program("logger"), bench.program("app", ["logger"])];
  await bench.add(logger, { restart: { ...policy, firstDelayMs: 4_000 } });
  await bench.add(app, { restart: { ...policy, maxCrashes: 2 } });
  logger.crash();
  app.crash();
  await bench.untilState("logger", "restarting");
  await bench.untilState("app", "restarting");
  bench.clock.advance(750);
  await bench.until(() => {
    const state = bench.stateOf("app");
    return state.kind === "restarting" && state.lastError.includes("requires logger");
  });
  expect(app.launches).toHaveLength(1);
  bench.clock.advance(2_250);
  await bench.untilRunningAgain("logger", 1);
  expect(app.launches).toHaveLength(1);
  bench.clock.advance(1);
  await bench.untilRunningAgain("app", 1);
  expect(bench.clock.monotonic()).toBe(3_001);
});

test("a dependant stays as it is while its dependency crashes again and again", async () => {
  const bench = supervisionBench();
  const [logger, app] = [bench.program("logger"), bench.program("app", ["logger"])];
  await bench.add(logger, { restart: { ...policy, maxCrashes: 3 } });
  const dependant = await bench.add(app, restart());
  for (const restarts of [1, 2]) {
    logger.crash();
    await bench.untilState("logger", "restarting");
    bench.clock.advance(8_000);
    await bench.untilRunningAgain("logger", restarts);
  }
  logger.crash();
  await bench.untilState("logger", "quarantined");
  expect(bench.latest("app")).toBe(dependant);
  expect(dependant.supervision.kind).toBe("running");
  expect(bench.graph.impact(bench.latest("logger").runtimeId).affectedPlugins).toEqual([dependant.runtimeId]);
});

test("a program that crashes right after each commit ends in quarantine", async () => {
  const bench = supervisionBench();
  const program = bench.program("echo");
  await bench.add(program, restart());
  for (let crash = 1; crash <= 5; crash++) {
    program.crash();
    await bench.untilState("echo", crash === 5 ? "quarantined" : "restarting");
    bench.clock.advance(8_000);
    if (crash < 5) await bench.untilRunningAgain("echo", crash);
  }
  expect(program.launches).toHaveLength(5);
});

test.each(["restarting", "starting", "quarantined"] as const)(
  "stopping while a plugin is %s leaves nothing",
  async (state) => {
    const bench = supervisionBench();
    const program = bench.program("echo");
    await bench.add(program, { restart: { ...policy, maxCrashes: state === "quarantined" ? 1 : 5 } });
    program.crash();
    await bench.untilState("echo", state === "quarantined" ? state : "restarting");
    const gate = deferred();
    if (state === "starting") {
      program.gate = gate.promise;
      bench.clock.advance(750);
      await bench.untilStep("start");
    }
    const stopping = bench.lifecycle.stop(() => bench.graph.startupLevels(), 10_000);
    gate.resolve();
    await stopping;
    expect(program.running).toBe(0);
    expect([...bench.directory.all()]).toEqual([]);
    expect(bench.clock.pending).toBe(0);
    bench.clock.advance(60_000);
    expect(program.launches).toHaveLength(state === "starting" ? 2 : 1);
  },
);

test("a crash while the host stops is not answered with a start", async () => {
  const bench = supervisionBench();
  const [slow, program] = [bench.program("slow", ["echo"]), bench.program("echo")];
  await bench.add(program, restart());
  const busy = await bench.add(slow, restart());
  busy.inFlight.enter({ abort: () => {} });
  const stopping = bench.lifecycle.stop(() => bench.graph.startupLevels(), 10_000);
  await bench.until(() => busy.phase.kind === "draining");
  program.crash("it crashed");
  await bench.until(() => bench.latest("echo").health.current.cause === "exit");
  expect(bench.latest("echo").health.current.reason).toBe("it crashed");
  bench.clock.advance(9_000);
  await stopping;
  expect(program.launches).toHaveLength(1);
  expect(bench.clock.pending).toBe(0);
});

describe("readiness", () => {
  test.each([
    { importance: "required", want: "not-ready" },
    { importance: "degrade", want: "degraded" },
    { importance: "optional", want: "ready" },
  ] as const)("with a plugin down that is $importance the host is $want", async ({ importance, want }) => {
    const bench = supervisionBench();
    const program = bench.program("echo");
    await bench.add(program, { importance });
    expect(bench.lifecycle.readiness()).toEqual({ state: "ready", reasons: [] });
    program.crash("it crashed");
    await bench.untilState("echo", "restarting");
    const { state, reasons } = bench.lifecycle.readiness();
    expect(state).toBe(want);
    expect(reasons).toEqual(want === "ready" ? [] : [expect.stringMatching(/^echo-\w+ \(.*it crashed; it is started/)]);
    bench.clock.advance(750);
    await bench.untilRunningAgain("echo", 1);
    expect(bench.lifecycle.readiness()).toEqual({ state: "ready", reasons: [] });
  });
});

describe("a plugin that failed to start and is shown as absent", () => {
  test("is listed with what was declared for it, and replaced by its first incarnation", async () => {
    const bench = supervisionBench();
    const program = bench.program("echo");
    const absent = bench.lifecycle.addAbsent(
      bench.spec(program),
      new PluginHostError("PLUGIN_EXITED", "code 3\nlines"),
    );
    expect(absent.record()).toMatchObject({ selfId: "echo", health: { state: "unhealthy", cause: "exit" } });
    expect(absent.health.current.reason).toMatch(/^it could not be started: code 3; it is/);
    expect(bench.catalog.providersOf("echo")).toHaveLength(1);
    expect(bench.identities.size).toBe(0);
    bench.clock.advance(750);
    await bench.untilRunningAgain("echo", 1);
    expect(bench.catalog.resolveAlias(absent.runtimeId)).toBe(bench.latest("echo").runtimeId);
    expect(bench.catalog.plugins()).toHaveLength(1);
  });

  test("can be removed", async () => {
    const bench = supervisionBench();
    const program = bench.program("echo");
    const { runtimeId } = bench.lifecycle.addAbsent(bench.spec(program), new Error("no"));
    await bench.lifecycle.remove(runtimeId, { reason: "", limits: { ...benchLimits, graceMs: 0 }, signal: undefined });
    bench.clock.advance(10_000);
    expect(program.launches).toEqual([]);
    expect(bench.clock.pending).toBe(0);
    expect(bench.catalog.plugins()).toEqual([]);
  });
});

test("what came due while an operation that could not begin held it is started all the same", async () => {
  const bench = supervisionBench();
  const program = bench.program("echo");
  const first = await bench.add(program, restart());
  const taken = "http://127.0.0.1:1";
  const other = bench.program("other");
  const atTaken = { ...bench.spec(other), launcher: { ...other.launcher, address: parseBaseUrl("endpoint", taken) } };
  // Two operations cannot take one endpoint, which is found out before anything is done.
  const gate = deferred();
  other.gate = gate.promise;
  const adding = bench.lifecycle.add(atTaken, undefined).catch(() => {});
  const replacing = bench.lifecycle.replace(first.runtimeId, { ...atTaken, allowMissingServices: false }, undefined);
  await expect(replacing).rejects.toMatchObject({ code: "ENDPOINT_IN_USE" });
  program.crash();
  await bench.untilState("echo", "restarting");
  bench.clock.advance(750);
  await bench.untilRunningAgain("echo", 1);
  gate.reject(new Error("no"));
  await adding;
});
