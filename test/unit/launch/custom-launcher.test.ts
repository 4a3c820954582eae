import { expect, onTestFinished, test } from "vitest";
import type { CustomLauncher, CustomPlugin } from "../../../src/index.js";
import { PluginHostError } from "../../../src/index.js";
import { deferred } from "../../../src/internal/deferred.js";
import { customLauncher } from "../../../src/launch/custom-launcher.js";
import type { LaunchContext } from "../../../src/model/launch.js";
import { manualClock } from "../../support/manual-clock.js";

const plugin = (given: Partial<CustomPlugin> = {}): CustomPlugin => ({
  endpoint: "http://127.0.0.1:4001",
  stop: async () => {},
  ...given,
});

const launcher = (launch: CustomLauncher["launch"], clock = manualClock()) =>
  customLauncher({ name: "docker", launch }, clock);

const context = (given: Partial<LaunchContext> = {}): LaunchContext => ({
  signal: new AbortController().signal,
  onStart: () => {},
  onOutput: () => {},
  ...given,
});

test.each([
  { given: 7, field: "launcher" },
  { given: null, field: "launcher" },
  { given: { launch: async () => plugin() }, field: "launcher.name" },
  { given: { name: "no spaces", launch: async () => plugin() }, field: "launcher.name" },
  { given: { name: "docker" }, field: "launcher.launch" },
])("a launcher such as $given is refused by the field $field", ({ given, field }) => {
  expect(() => customLauncher(given as CustomLauncher, manualClock())).toThrow(
    expect.objectContaining({ code: "INVALID_ARGUMENT", field }),
  );
});

test.each([
  { why: "nothing", result: undefined, message: "must be an object" },
  { why: "no endpoint", result: { stop: async () => {} }, message: "must have an endpoint" },
  { why: "no way to stop it", result: { endpoint: "http://127.0.0.1:1" }, message: "must have a function stop" },
  { why: "an end that is no promise", result: { ...plugin(), ended: true }, message: "must have a promise as ended" },
  { why: "an endpoint that is none", result: plugin({ endpoint: "4001" }), message: "must be a URL" },
])("a launch that brings $why is refused with the launcher's name", async ({ result, message }) => {
  const error: unknown = await launcher(async () => result as CustomPlugin)
    .launch(context())
    .catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining(message) });
  expect(error).toMatchObject({ message: expect.stringContaining("launch() of the launcher docker") });
});

test("what was started is stopped again if it cannot be used", async () => {
  let stopped = 0;
  const bad = plugin({
    endpoint: "4001",
    stop: async () => {
      stopped += 1;
    },
  });
  await expect(launcher(async () => bad).launch(context())).rejects.toThrow();
  expect(stopped).toBe(1);
});

test("a launch that fails is told with the launcher's name, and an error of this library as it is", async () => {
  const boom = launcher(() => {
    throw new Error("no image");
  });
  await expect(boom.launch(context())).rejects.toMatchObject({
    code: "PLUGIN_FAILED",
    message: "docker failed to start the plugin: no image",
  });
  const known = new PluginHostError("PORT_IN_USE", "taken");
  await expect(launcher(async () => Promise.reject(known)).launch(context())).rejects.toBe(known);
});

test("lines of the plugin are passed on", async () => {
  const lines: unknown[] = [];
  await launcher(async ({ output }) => {
    output("one");
    output("two", "stderr");
    return plugin();
  }).launch(context({ onOutput: (line) => lines.push(line) }));
  expect(lines).toEqual([
    { stream: "stdout", line: "one", truncated: false },
    { stream: "stderr", line: "two", truncated: false },
  ]);
});

test("an end is told with its reason or its error, and not if it was asked for", async () => {
  const { ended } = await launcher(async () => plugin({ ended: Promise.resolve("killed by the kernel") })).launch(
    context(),
  );
  expect(await ended).toEqual({ reason: "killed by the kernel", error: undefined });
  const error = new Error("lost its node");
  const failed = await launcher(async () => plugin({ ended: Promise.reject(error) })).launch(context());
  expect(await failed.ended).toEqual({ reason: "lost its node", error });
  let end: () => void = () => {};
  const asked = await launcher(async () =>
    plugin({
      ended: new Promise<void>((resolve) => {
        end = resolve;
      }),
      stop: async () => end(),
    }),
  ).launch(context());
  await asked.stop(0);
  expect(await Promise.race([asked.ended, new Promise((resolve) => setImmediate(resolve, "untold"))])).toBe("untold");
});

test("stop reaches the launcher once, and what fails in it is told with the launcher's name", async () => {
  const graces: number[] = [];
  const started = await launcher(async () =>
    plugin({
      stop: async (graceMs) => {
        graces.push(graceMs);
        throw new Error("no such container");
      },
    }),
  ).launch(context());
  const stops = [started.stop(500), started.stop(0)];
  for (const stop of stops) {
    await expect(stop).rejects.toMatchObject({
      code: "PLUGIN_FAILED",
      message: "docker failed to stop the plugin: no such container",
    });
  }
  expect(graces).toEqual([500]);
});

test("a launch that does not hear of the abort is left alone after five seconds, and what it still brings is stopped", async () => {
  const clock = manualClock();
  const abort = new AbortController();
  let bring: (started: CustomPlugin) => void = () => {};
  let settled = false;
  const late = new Promise<CustomPlugin>((resolve) => {
    bring = resolve;
  });
  const launch = launcher(() => late, clock)
    .launch(context({ signal: abort.signal }))
    .catch((error: unknown) => {
      settled = true;
      return error;
    });
  abort.abort(new Error("given up"));
  await clock.advanceAsync(4_999);
  expect(settled).toBe(false);
  await clock.advanceAsync(1);
  expect(await launch).toMatchObject({ message: "given up" });
  const stopped = new Promise<number>((resolve) => {
    bring(plugin({ stop: async (graceMs) => resolve(graceMs) }));
  });
  expect(await stopped).toBe(0);
});

test.each([
  { why: "returns nothing", stop: () => undefined },
  {
    why: "throws",
    stop: () => {
      throw new Error("no such container");
    },
  },
])("a stop that $why does not hide why a launch failed, nor end the host", async ({ stop }) => {
  const clock = manualClock();
  const bad = { ...plugin({ endpoint: "4001" }), stop: stop as unknown as CustomPlugin["stop"] };
  await expect(launcher(async () => bad).launch(context())).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  // Given up while it starts: what it brings later is stopped where nobody waits for it.
  const unhandled: unknown[] = [];
  const take = (error: unknown): number => unhandled.push(error);
  process.on("unhandledRejection", take);
  onTestFinished(() => void process.off("unhandledRejection", take));
  const late = deferred<CustomPlugin>();
  const given = new AbortController();
  const launch = launcher(() => late.promise, clock).launch(context({ signal: given.signal }));
  given.abort(new Error("given up"));
  clock.advance(5_000);
  await expect(launch).rejects.toThrow("given up");
  late.resolve(bad);
  await new Promise((resolve) => setImmediate(resolve));
  expect(unhandled).toEqual([]);
});
