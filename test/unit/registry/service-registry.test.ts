import { describe, expect, test } from "vitest";
import type { PluginRecord } from "../../../src/model/catalog.js";
import { Catalog } from "../../../src/registry/catalog.js";
import { ServiceRegistry } from "../../../src/registry/service-registry.js";
import { catalogWith, pluginRecord, registrationOf } from "../../support/catalog-samples.js";

const leaving = (id: string): PluginRecord => pluginRecord(id, "healthy", "", { kind: "leaving", reason: "removed" });
const draining = (id: string): PluginRecord => pluginRecord(id, "healthy", "", { kind: "draining", reason: "" });

const idOf = (registry: ServiceRegistry, options: Parameters<ServiceRegistry["find"]>[1] = {}, type = "logger") => {
  const result = registry.find(type, options);
  return result.kind === "found" ? result.provider.plugin.runtimeId : result.code;
};

describe("discover refuses, in this order:", () => {
  const catalog = catalogWith([
    { record: pluginRecord("a", "unready") },
    { record: pluginRecord("b", "unhealthy", "database down") },
    { record: draining("c") },
    { record: leaving("d"), versions: ["1.0.0", "2.0.0"] },
  ]);
  test.each([
    {
      type: "nothing",
      minVersion: "latest!",
      code: "INVALID_ARGUMENT",
      says: 'minVersion must be a version such as "1.2.0"',
    },
    { type: "nothing", minVersion: "9.0.0", code: "NO_PROVIDER", says: 'no plugin provides "nothing"' },
    {
      type: "logger",
      minVersion: "9.0.0",
      code: "NO_COMPATIBLE_VERSION",
      says: 'no provider of "logger" satisfies "9.0.0"; there is 1.0.0; 2.0.0',
    },
    {
      type: "logger",
      minVersion: "2.0.0",
      code: "NO_HEALTHY_PROVIDER",
      says: 'no provider of "logger" in version "2.0.0" can take calls now: d leaving: removed',
    },
    {
      type: "logger",
      minVersion: "",
      code: "NO_HEALTHY_PROVIDER",
      says: "a unready; b unhealthy: database down; c draining; d leaving: removed",
    },
  ])("$type $minVersion: $code", ({ type, minVersion, code, says }) => {
    const registry = new ServiceRegistry(catalog);
    expect(() => registry.discover(type, { minVersion })).toThrowError(
      expect.objectContaining({ code, message: expect.stringContaining(says) }),
    );
    expect(registry.find(type, { minVersion })).toMatchObject({ kind: "none", code });
    expect(registry.isSingleProvider(type, minVersion)).toBe(false);
  });

  test("an unknown strategy", () => {
    const strategyOverride = "best" as never;
    expect(() => new ServiceRegistry(catalog).discover("logger", { strategyOverride })).toThrowError(
      expect.objectContaining({ code: "INVALID_ARGUMENT", field: "strategyOverride" }),
    );
    expect(() => new ServiceRegistry(catalog).setSelectionStrategy("logger", "best" as never)).toThrowError(
      /strategy must be one of first, round-robin, random, weighted, least-in-flight, or a function, got "best"/,
    );
  });
});

test("many providers that cannot take calls are counted, not listed", () => {
  const records = Array.from({ length: 9 }, (_, i) => ({ record: pluginRecord(`p${i}`, "unready") }));
  const result = new ServiceRegistry(catalogWith(records)).find("logger");
  expect(result).toMatchObject({ message: expect.stringMatching(/p4 unready and 4 more$/) });
});

test("healthy providers come before degraded ones, and what is neither is never chosen", () => {
  const catalog = catalogWith([
    { record: pluginRecord("slow", "degraded") },
    { record: pluginRecord("new", "unready") },
    { record: leaving("going") },
    { record: pluginRecord("good") },
  ]);
  const registry = new ServiceRegistry(catalog);
  expect(registry.isSingleProvider("logger")).toBe(false);
  expect(idOf(registry)).toBe("good");
  expect(idOf(registry, { exclude: new Set(["good"]) })).toBe("slow");
  expect(registry.find("logger", { exclude: new Set(["good", "slow"]) })).toMatchObject({
    code: "NO_HEALTHY_PROVIDER",
    message: 'no other provider of "logger" can take calls now; tried good; slow',
  });
  catalog.apply([{ kind: "plugin-put", plugin: pluginRecord("good", "unhealthy") }]);
  expect(idOf(registry)).toBe("slow");
  expect(registry.isSingleProvider("logger")).toBe(true);
});

test("of a plugin with several versions the highest that fits is meant", () => {
  const catalog = catalogWith([{ record: pluginRecord("a"), versions: ["1.9.0", "1.10.0", "2.0.0"] }]);
  const registry = new ServiceRegistry(catalog);
  const version = (minVersion: string) => registry.discover("logger", { minVersion }).registration.version;
  expect([version(""), version("^1"), version("1.0.0"), version("1.9")]).toEqual(["2.0.0", "1.10.0", "2.0.0", "1.9.0"]);
  expect(registry.isSingleProvider("logger")).toBe(true);
});

test("routing goes round while discovery takes the first, and neither disturbs the other", () => {
  const registry = new ServiceRegistry(catalogWith(["a", "b", "c"].map((id) => ({ record: pluginRecord(id) }))));
  const chosen = Array.from({ length: 6 }, () => [idOf(registry, { purpose: "route" }), idOf(registry)]);
  expect(chosen.map(([routed]) => routed).join("")).toBe("abcabc");
  expect(chosen.every(([, discovered]) => discovered === "a")).toBe(true);
});

test("a strategy that is set holds for its type until it is taken back", () => {
  const catalog = catalogWith(["a", "b"].map((id) => ({ record: pluginRecord(id) })));
  const registry = new ServiceRegistry(catalog);
  registry.setSelectionStrategy("logger", "round-robin");
  expect([idOf(registry), idOf(registry), idOf(registry)]).toEqual(["a", "b", "a"]);
  expect(idOf(registry, { strategyOverride: (candidates) => candidates[1] ?? fail() })).toBe("b");
  registry.setSelectionStrategy("logger", undefined);
  expect([idOf(registry), idOf(registry)]).toEqual(["a", "a"]);
  expect(registry.selectionStrategy("logger", "route")).toBe("round-robin");
});

test("a lookup inside a subscriber that was there first sees the new state already", () => {
  const catalog = new Catalog({ epoch: "e1" });
  const seen: string[] = [];
  catalog.subscribe(() => seen.push(idOf(registry)));
  const registry = new ServiceRegistry(catalog);
  catalog.apply([
    { kind: "plugin-put", plugin: pluginRecord("a") },
    { kind: "registration-put", registration: registrationOf("a", "logger") },
  ]);
  catalog.apply([{ kind: "plugin-put", plugin: pluginRecord("a", "unhealthy") }]);
  catalog.apply([{ kind: "plugin-removed", runtimeId: "a" }]);
  expect(seen).toEqual(["a", "NO_HEALTHY_PROVIDER", "NO_PROVIDER"]);
});

test("services lists every registration with its plugin's state", () => {
  const catalog = catalogWith([{ record: pluginRecord("a", "degraded", "slow"), versions: ["1.0.0", "2.0.0"] }]);
  const [listing] = new ServiceRegistry(catalog).services();
  expect(listing?.type).toBe("logger");
  expect(listing?.providers.map((p) => [p.provider.registration.version, p.state, p.reason])).toEqual([
    ["2.0.0", "degraded", "slow"],
    ["1.0.0", "degraded", "slow"],
  ]);
});

function fail(): never {
  throw new Error("there is no such candidate");
}
