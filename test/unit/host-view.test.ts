import { expect, test } from "vitest";
import { createRouterView, createTrafficObserver, type HostViewParts } from "../../src/host-view.js";
import { InFlight } from "../../src/internal/in-flight.js";
import { TokenBuckets } from "../../src/internal/token-bucket.js";
import type { PluginRecord } from "../../src/model/catalog.js";
import type { ServiceDependency } from "../../src/model/declarations.js";
import type { TrafficState, TrialGate } from "../../src/model/health.js";
import type { Principal } from "../../src/model/principal.js";
import { type PlatformOptions, resolveOptions } from "../../src/options.js";
import { ServiceRegistry } from "../../src/registry/service-registry.js";
import type { RouteLookup } from "../../src/router/router-view.js";
import { catalogWith, pluginRecord, registrationOf } from "../support/catalog-samples.js";
import { needs } from "../support/graph-nodes.js";
import { manualClock } from "../support/manual-clock.js";

const callerPlugin: Principal = { kind: "plugin", runtimeId: "app-1", selfId: "app" };

/** A view on loggers 1 (1.0.0), 2 (1.5.0 and 2.0.0) and the given others, seen by a caller that requires what is given. */
function start(options: PlatformOptions = {}, requires: readonly ServiceDependency[] = []) {
  const catalog = catalogWith([
    { record: pluginRecord("logger-1") },
    { record: pluginRecord("logger-2"), versions: ["1.5.0", "2.0.0"] },
    { record: pluginRecord("sick-1", "unhealthy", "disk full"), versions: [] },
    { record: pluginRecord("going-1", "healthy", "", { kind: "draining", reason: "removed" }), versions: [] },
  ]);
  const registry = new ServiceRegistry(catalog);
  const live = new Map(
    catalog.plugins().map(({ runtimeId }) => {
      const health = {
        trial: undefined as TrialGate | undefined,
        traffic: { kind: "passing", failures: 0 } as TrafficState,
      };
      return [runtimeId, { inFlight: new InFlight(), health }];
    }),
  );
  live.set("app-1", { inFlight: new InFlight(), requires } as never);
  const clock = manualClock();
  const resolved = resolveOptions({ clock, ...options });
  const rates = resolved.callerRate && new TokenBuckets(resolved.callerRate, () => clock.monotonic());
  const seen: unknown[] = [];
  const parts = {
    catalog,
    registry,
    directory: { get: (id: string) => live.get(id), observe: (_: unknown, type: string) => seen.push(type) },
    selfRegistration: { seen: () => {} },
    options: resolved,
    rates,
  } as unknown as HostViewParts;
  return { view: createRouterView(parts), traffic: createTrafficObserver(parts), catalog, live, seen, clock };
}

const versionsOf = (lookup: RouteLookup) =>
  lookup.kind === "found" ? lookup.provider.registrations.map(({ version }) => version) : lookup;

test.each([
  { type: "logger", id: "logger-2", kind: "found" },
  { type: "logger", id: "nobody-1", kind: "not-found", message: "nobody-1" },
  { type: "cache", id: "logger-1", kind: "not-found", message: "does not offer cache" },
  { type: "logger", id: "sick-1", kind: "not-found", message: "does not offer logger" },
  { type: "logger", id: "going-1", kind: "unavailable", message: "removed" },
])("$type of $id is $kind", ({ type, id, kind, message }) => {
  const lookup = start().view.pinned(type, id);
  expect(lookup.kind).toBe(kind);
  if (message !== undefined) expect(lookup).toMatchObject({ message: expect.stringContaining(message) });
});

test("a pinned provider offers all its versions, the highest first", () => {
  expect(versionsOf(start().view.pinned("logger", "logger-2"))).toEqual(["2.0.0", "1.5.0"]);
});

test("the id of a replaced plugin leads to the one that replaced it", () => {
  const { view, catalog } = start();
  catalog.apply([{ kind: "alias-put", from: "logger-0", to: "logger-1" }]);
  expect(view.pinned("logger", "logger-0")).toMatchObject({ provider: { plugin: { runtimeId: "logger-1" } } });
});

test("a plugin that ends while it is chosen is not found", () => {
  const { view, live } = start();
  live.delete("logger-1");
  expect(view.pinned("logger", "logger-1").kind).toBe("not-found");
});

test("any applies the range that the caller declared, and the short path goes to that version", () => {
  const { view } = start({}, [needs("logger@~1.5.0")]);
  const lookup = view.choose("logger", callerPlugin, undefined);
  expect(lookup).toMatchObject({ provider: { plugin: { runtimeId: "logger-2" } } });
  expect(versionsOf(lookup)).toEqual(["1.5.0", "2.0.0"]);
});

test("any takes turns", () => {
  const { view } = start();
  const ids = Array.from({ length: 4 }, () => {
    const lookup = view.choose("logger", { kind: "host" }, undefined);
    return lookup.kind === "found" ? lookup.provider.plugin.runtimeId : lookup.message;
  });
  expect(ids).toEqual(["logger-1", "logger-2", "logger-1", "logger-2"]);
});

test.each([
  { what: "a type of nobody", type: "cache", range: "", kind: "not-found" },
  { what: "a range of nobody", type: "logger", range: "^9", kind: "not-found" },
])("any with $what is $kind", ({ type, range, kind }) => {
  const { view } = start({}, [needs(`${type}@${range}`)]);
  expect(view.choose(type, callerPlugin, undefined).kind).toBe(kind);
});

test("any with providers none of which is well is unavailable, with the reason and when to come back", () => {
  const { view, catalog } = start({ router: { retryAfterMs: 7_000 } });
  catalog.apply([{ kind: "registration-put", registration: registrationOf("sick-1", "db") }]);
  expect(view.choose("db", callerPlugin, undefined)).toEqual({
    kind: "unavailable",
    message: expect.stringContaining("disk full"),
    retryAfterMs: 7_000,
  });
});

function startEjected(options: PlatformOptions = {}) {
  const started = start(options);
  const { catalog, live, clock } = started;
  for (const [index, runtimeId] of ["logger-1", "logger-2"].entries()) {
    const before = catalog.plugin(runtimeId) as PluginRecord;
    const health = { ...before.health, state: "unhealthy", cause: "traffic", reason: "ejected: reset" } as const;
    catalog.apply([{ kind: "plugin-put", plugin: { ...before, health } }]);
    const until = clock.now() + 4_000 - index * 1_000;
    Object.assign(live.get(runtimeId)?.health ?? {}, { traffic: { kind: "ejected", until, ejections: 1 } });
  }
  return started;
}

test("where all are ejected, calls fail with the reason and the time of the next trial", () => {
  const { view } = startEjected();
  expect(view.choose("logger", callerPlugin, undefined)).toEqual({
    kind: "unavailable",
    message: expect.stringContaining("ejected: reset"),
    retryAfterMs: 3_000,
  });
  expect(view.pinned("logger", "logger-1")).toMatchObject({ provider: { lastResort: false, retryAfterMs: 4_000 } });
});

test("where all are ejected, calls go there all the same if the host is told so, but never where one is well", () => {
  const { view, catalog } = startEjected({ router: { whenAllEjected: "try" } });
  const chosen = () => {
    const lookup = view.choose("logger", callerPlugin, undefined);
    return lookup.kind === "found" ? [lookup.provider.plugin.runtimeId, lookup.provider.lastResort] : lookup.kind;
  };
  expect([chosen(), chosen()]).toEqual([
    ["logger-1", true],
    ["logger-2", true],
  ]);
  expect(view.pinned("logger", "logger-1")).toMatchObject({ provider: { lastResort: true } });
  catalog.apply([{ kind: "plugin-put", plugin: pluginRecord("logger-2") }]);
  expect([chosen(), chosen()]).toEqual([
    ["logger-2", false],
    ["logger-2", false],
  ]);
  expect(view.choose("logger", callerPlugin, new Set(["logger-2"])).kind).toBe("unavailable");
});

test.each<{ what: string; authorize: unknown; refusal: unknown }>([
  { what: "undefined", authorize: () => undefined, refusal: undefined },
  { what: "a text", authorize: () => "not you", refusal: "not you" },
  { what: "a promise", authorize: async () => undefined, refusal: expect.stringContaining("authorize") },
  { what: "false", authorize: () => false, refusal: expect.stringContaining("authorize") },
])("authorize that returns $what", ({ authorize, refusal }) => {
  const { view } = start({ authorize } as PlatformOptions);
  const lookup = view.pinned("logger", "logger-1");
  if (lookup.kind !== "found") throw new Error("not found");
  expect(view.refusal(callerPlugin, lookup.provider, "logger", "/logger.v1.Logger/Log")).toEqual(refusal);
});

test("authorize is told who calls what", () => {
  const calls: unknown[] = [];
  const { view } = start({ authorize: (call) => void calls.push(call) });
  const lookup = view.pinned("logger", "logger-1");
  if (lookup.kind !== "found") throw new Error("not found");
  view.refusal(callerPlugin, lookup.provider, "logger", "/logger.v1.Logger/Log");
  expect(calls).toEqual([
    {
      caller: callerPlugin,
      provider: { runtimeId: "logger-1", selfId: "logger-1" },
      serviceType: "logger",
      method: "/logger.v1.Logger/Log",
    },
  ]);
});

test("each caller has a rate of its own, and the host has none", () => {
  const { view } = start({ callerRate: { perSecond: 1, burst: 1 } });
  const other: Principal = { ...callerPlugin, runtimeId: "app-2" };
  expect([view.takeRate(callerPlugin), view.takeRate(other)]).toEqual([0, 0]);
  expect(view.takeRate(callerPlugin)).toBe(1_000);
  expect([view.takeRate({ kind: "host" }), view.takeRate({ kind: "host" })]).toEqual([0, 0]);
});

test("without the option there is no rate", () => {
  const { view } = start();
  expect(Array.from({ length: 3 }, () => view.takeRate(callerPlugin))).toEqual([0, 0, 0]);
});

test("what a plugin calls is observed, what others call is not", () => {
  const { traffic, seen } = start();
  traffic.called(callerPlugin, "logger");
  traffic.called({ kind: "host" }, "cache");
  traffic.called({ ...callerPlugin, runtimeId: "gone-1" }, "cache");
  expect(seen).toEqual(["logger"]);
});
