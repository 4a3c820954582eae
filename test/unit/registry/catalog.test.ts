import { describe, expect, test } from "vitest";
import type { Change } from "../../../src/model/catalog.js";
import { Catalog, type CatalogEvent } from "../../../src/registry/catalog.js";
import { catalogWith, pluginRecord, registrationOf } from "../../support/catalog-samples.js";

const put = (runtimeId: string): Change => ({ kind: "plugin-put", plugin: pluginRecord(runtimeId) });
const removed = (runtimeId: string): Change => ({ kind: "plugin-removed", runtimeId });
const alias = (from: string, to: string): Change => ({ kind: "alias-put", from, to });
const register = (runtimeId: string, type: string, version?: string): Change => ({
  kind: "registration-put",
  registration: registrationOf(runtimeId, type, version),
});

function recorded(catalog: Catalog): CatalogEvent[] {
  const events: CatalogEvent[] = [];
  catalog.subscribe((event) => events.push(event));
  return events;
}

test("a batch is one revision and one event that names the touched types", () => {
  const catalog = new Catalog({ epoch: "e1" });
  const events = recorded(catalog);
  const changes = [put("a"), register("a", "logger"), register("a", "cache"), put("b")];
  expect(catalog.apply(changes)).toEqual({ epoch: "e1", number: 1 });
  expect(events).toEqual([{ revision: catalog.revision, changes, touchedTypes: new Set(["logger", "cache"]) }]);
  expect(catalog.plugins().map((plugin) => plugin.runtimeId)).toEqual(["a", "b"]);
  expect(catalog.types()).toEqual(["logger", "cache"]);
});

test("an empty batch is no revision and no event", () => {
  const catalog = new Catalog({ epoch: "e1" });
  const events = recorded(catalog);
  expect(catalog.apply([]).number).toBe(0);
  expect(events).toEqual([]);
});

describe("a batch with one impossible change changes nothing:", () => {
  test.each<{ why: string; bad: Change; code: string; field: string }>([
    {
      why: "registration of an unknown plugin",
      bad: register("x", "t"),
      code: "PLUGIN_NOT_FOUND",
      field: "changes[3].registration.runtimeId",
    },
    { why: "removal of an unknown plugin", bad: removed("x"), code: "PLUGIN_NOT_FOUND", field: "changes[3].runtimeId" },
    {
      why: "removal in the same batch came first",
      bad: register("b", "t"),
      code: "PLUGIN_NOT_FOUND",
      field: "changes[3].registration.runtimeId",
    },
    {
      why: "registration went with its plugin",
      bad: { kind: "registration-removed", registrationId: "reg-b-logger-1.0.0" },
      code: "REGISTRATION_NOT_FOUND",
      field: "changes[3].registrationId",
    },
    {
      why: "unknown registration",
      bad: { kind: "registration-removed", registrationId: "reg-x" },
      code: "REGISTRATION_NOT_FOUND",
      field: "changes[3].registrationId",
    },
    { why: "alias to an unknown plugin", bad: alias("a", "x"), code: "PLUGIN_NOT_FOUND", field: "changes[3].to" },
    { why: "alias to itself", bad: alias("a", "a"), code: "INVALID_ARGUMENT", field: "changes[3].to" },
    {
      why: "somebody else's registration id",
      bad: {
        kind: "registration-put",
        registration: { ...registrationOf("c", "logger"), registrationId: "reg-a-logger-1.0.0" },
      },
      code: "INVALID_ARGUMENT",
      field: "changes[3].registration.registrationId",
    },
  ])("$why", ({ bad, code, field }) => {
    const catalog = catalogWith([{ record: pluginRecord("a") }, { record: pluginRecord("b") }]);
    const events = recorded(catalog);
    const before = JSON.stringify([catalog.plugins(), catalog.providersOf("logger"), [...catalog.aliases]]);
    const batch = [put("c"), register("a", "new"), removed("b"), bad];
    expect(() => catalog.apply(batch)).toThrowError(expect.objectContaining({ code, field }));
    expect(JSON.stringify([catalog.plugins(), catalog.providersOf("logger"), [...catalog.aliases]])).toBe(before);
    expect(catalog.types()).toEqual(["logger"]);
    expect(catalog.revision.number).toBe(1);
    expect(events).toEqual([]);
  });
});

test("removing a plugin removes its registrations, and a type nobody offers any more is gone but keeps its revision", () => {
  const catalog = catalogWith([{ record: pluginRecord("a"), versions: ["1.0.0", "2.0.0"] }]);
  catalog.apply([removed("a")]);
  expect(catalog.registration("reg-a-logger-1.0.0")).toBeUndefined();
  expect(catalog.providersOf("logger")).toEqual([]);
  expect(catalog.types()).toEqual([]);
  expect(catalog.typeRevision("logger")).toBe(2);
  catalog.apply([put("b")]);
  expect(catalog.typeRevision("logger")).toBe(2);
});

test("the revision of a type that vanished long ago is never too early", () => {
  const catalog = new Catalog({ epoch: "e1" });
  catalog.apply([put("a")]);
  for (let i = 0; i < 1030; i++) {
    catalog.apply([register("a", `t${i}`)]);
    catalog.apply([{ kind: "registration-removed", registrationId: `reg-a-t${i}-1.0.0` }]);
  }
  expect(catalog.typeRevision("t1029")).toBe(2061);
  expect(catalog.typeRevision("t0")).toBeGreaterThanOrEqual(3);
  expect(catalog.typeRevision("t0")).toBeLessThan(catalog.typeRevision("t6"));
});

test("registrations of a plugin and type come highest version first, of equal ones the earlier first", () => {
  const catalog = catalogWith([{ record: pluginRecord("a"), versions: ["1.9.0", "1.10.0", "2.0.0-rc.1"] }]);
  const second = { ...registrationOf("a", "logger", "1.10.0"), registrationId: "reg-second", path: "/second/" };
  catalog.apply([{ kind: "registration-put", registration: second }]);
  const ids = () => catalog.registrationsOfPluginAndType("a", "logger").map((r) => r.registrationId);
  const order = ["reg-a-logger-2.0.0-rc.1", "reg-a-logger-1.10.0", "reg-second", "reg-a-logger-1.9.0"];
  expect(ids()).toEqual(order);
  catalog.apply([{ kind: "registration-put", registration: registrationOf("a", "logger", "1.10.0", { zone: "b" }) }]);
  expect(ids()).toEqual(order);
  expect(catalog.registrationsOfPluginAndType("a", "logger")[1]?.metadata).toEqual({ zone: "b" });
  catalog.apply([{ kind: "registration-put", registration: { ...second, version: "3.0.0" } }]);
  expect(ids()[0]).toBe("reg-second");
  expect(catalog.registrationsOf("a")).toHaveLength(4);
});

test.each([
  { why: "health state", plugin: pluginRecord("a", "degraded"), touched: true },
  { why: "health reason", plugin: pluginRecord("a", "healthy", "warm"), touched: true },
  { why: "phase", plugin: pluginRecord("a", "healthy", "", { kind: "leaving", reason: "" }), touched: true },
  { why: "metadata", plugin: { ...pluginRecord("a"), metadata: { zone: "b" } }, touched: true },
  { why: "nothing that can be seen", plugin: { ...pluginRecord("a"), requires: [], startedAt: 9 }, touched: false },
])("another record of a plugin touches its types if it differs in $why: $touched", ({ plugin, touched }) => {
  const catalog = catalogWith([{ record: pluginRecord("a") }]);
  const events = recorded(catalog);
  catalog.apply([{ kind: "plugin-put", plugin }]);
  expect(events[0]?.touchedTypes).toEqual(new Set(touched ? ["logger"] : []));
  expect(catalog.typeRevision("logger")).toBe(touched ? 2 : 1);
  expect(catalog.providersOf("logger")[0]?.plugin).toBe(plugin);
});

test("registering the same again touches nothing", () => {
  const catalog = catalogWith([{ record: pluginRecord("a") }]);
  const events = recorded(catalog);
  catalog.apply([register("a", "logger")]);
  expect(events[0]?.touchedTypes.size).toBe(0);
});

test("an alias is flat: what led to the replaced plugin leads to the new one", () => {
  const catalog = new Catalog({ epoch: "e1" });
  catalog.apply([put("x"), put("a"), put("b"), alias("x", "a")]);
  catalog.apply([removed("a"), alias("a", "b")]);
  expect([...catalog.aliases]).toEqual(
    expect.arrayContaining([
      ["x", "b"],
      ["a", "b"],
    ]),
  );
  expect(catalog.resolveAlias("x")).toBe("b");
  expect(catalog.resolveAlias("b")).toBe("b");
  catalog.apply([
    { kind: "alias-removed", from: "x" },
    { kind: "alias-removed", from: "x" },
  ]);
  expect(catalog.resolveAlias("x")).toBe("x");
  catalog.apply([removed("b")]);
  expect(catalog.aliases.size).toBe(0);
});

test("a subscriber that throws disturbs nobody, and neither does one who reports it badly", () => {
  const errors: unknown[] = [];
  const catalog = new Catalog({
    epoch: "e1",
    onListenerError: (error) => {
      errors.push(error);
      throw new Error("cannot report");
    },
  });
  catalog.subscribe(() => {
    throw new Error("bad listener");
  });
  const events = recorded(catalog);
  expect(catalog.apply([put("a")]).number).toBe(1);
  expect(events).toHaveLength(1);
  expect(errors).toEqual([new Error("bad listener")]);
});

test("a subscriber that applies changes itself does not turn the order of revisions round for the others", () => {
  const catalog = new Catalog({ epoch: "e1" });
  catalog.subscribe(({ revision }) => {
    if (revision.number === 1) expect(catalog.apply([put("b")]).number).toBe(2);
  });
  const events = recorded(catalog);
  catalog.apply([put("a")]);
  expect(events.map((event) => event.revision.number)).toEqual([1, 2]);
});
