import { expect, test } from "vitest";
import type { Change, PluginRecord } from "../../../src/model/catalog.js";
import type { HealthState } from "../../../src/model/health.js";
import type { Catalog } from "../../../src/registry/catalog.js";
import type { ServiceView } from "../../../src/registry/service-view.js";
import { WatchHub, type WatchOptions } from "../../../src/registry/watch-hub.js";
import { catalogWith, pluginRecord, registrationOf } from "../../support/catalog-samples.js";

const health = (catalog: Catalog, id: string, state: HealthState, reason = "") =>
  catalog.apply([{ kind: "plugin-put", plugin: pluginRecord(id, state, reason) }]);

/** Reads all the time and keeps what came. `settled` resolves when nothing is left to read. */
function reader(hub: WatchHub, options: WatchOptions = {}, type = "logger") {
  const views: ServiceView[] = [];
  const iterator = hub.watch(type, options)[Symbol.asyncIterator]();
  const done = (async () => {
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) views.push(next.value);
  })();
  return { views, done, stop: () => iterator.return?.(), states: () => views.map((view) => view.state).join(" ") };
}

/** Promise jobs run before timers and immediates: after one immediate every reader waits again. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

test("the present state comes first, then each change of the aggregate state, and nothing else", async () => {
  const catalog = catalogWith([{ record: pluginRecord("a", "unready") }, { record: pluginRecord("b", "unready") }]);
  const hub = new WatchHub(catalog);
  const { views, states, stop, done } = reader(hub);
  await settled();
  expect(views).toMatchObject([{ type: "logger", state: "unavailable", provider: undefined, providers: undefined }]);
  expect(views[0]?.reason).toBe('no provider of "logger" can take calls now: a unready; b unready');
  const steps: Change[][] = [
    [{ kind: "plugin-put", plugin: pluginRecord("b", "degraded", "cold") }],
    [{ kind: "plugin-put", plugin: pluginRecord("a") }],
    [{ kind: "plugin-put", plugin: pluginRecord("b") }],
    [{ kind: "plugin-put", plugin: pluginRecord("a", "unhealthy") }],
    [{ kind: "registration-put", registration: registrationOf("a", "other") }],
    [{ kind: "plugin-removed", runtimeId: "b" }],
    [{ kind: "plugin-removed", runtimeId: "a" }],
  ];
  for (const step of steps) {
    catalog.apply(step);
    await settled();
  }
  expect(states()).toBe("unavailable degraded available unavailable");
  expect(views[1]).toMatchObject({ provider: { plugin: { runtimeId: "b" } }, reason: "b degraded: cold" });
  expect(views[2]).toMatchObject({ provider: { plugin: { runtimeId: "a" } }, reason: "", revision: { number: 3 } });
  await stop();
  await done;
});

test("who asks for providers sees each endpoint, state and reason change", async () => {
  const catalog = catalogWith([{ record: pluginRecord("a") }, { record: pluginRecord("b") }]);
  const hub = new WatchHub(catalog);
  const { views, stop } = reader(hub, { includeProviders: true, minVersion: "1.0.0" });
  await settled();
  health(catalog, "b", "degraded");
  await settled();
  health(catalog, "b", "degraded", "slow");
  await settled();
  health(catalog, "b", "degraded", "slow");
  await settled();
  const update = { ...registrationOf("a", "logger"), path: "/v2/" };
  catalog.apply([{ kind: "registration-put", registration: update }]);
  await settled();
  catalog.apply([{ kind: "registration-put", registration: registrationOf("a", "logger", "0.1.0") }]);
  await settled();
  const seen = views.map((view) => view.providers?.map((p) => `${p.state}${p.reason}${p.provider.registration.path}`));
  expect(seen).toEqual([
    ["healthy/", "healthy/"],
    ["healthy/", "degraded/"],
    ["healthy/", "degradedslow/"],
    ["healthy/v2/", "degradedslow/"],
  ]);
  await stop();
});

test("who waits for a type that nobody can take calls of hears that a provider has ended, and that it is given up", async () => {
  const catalog = catalogWith([{ record: pluginRecord("a") }, { record: pluginRecord("b", "unready") }]);
  const { views, stop } = reader(new WatchHub(catalog));
  const put = async (plugin: PluginRecord): Promise<void> => {
    catalog.apply([{ kind: "plugin-put", plugin }]);
    await settled();
  };
  const ended = (reason: string, isGivenUp = false): PluginRecord => {
    const record = pluginRecord("a", "unhealthy", reason);
    return { ...record, health: { ...record.health, cause: "exit" }, isGivenUp };
  };
  await settled();
  await put({ ...pluginRecord("a"), address: { kind: "link", isOpen: false } });
  await put(ended("killed; it is started again"));
  // Each attempt changes nothing for who waits; nor does what one says of itself that runs.
  await put(ended("killed; it is being started again"));
  await put(pluginRecord("b", "unready", "still loading"));
  await put(ended("killed; it is not started again", true));
  catalog.apply([{ kind: "plugin-removed", runtimeId: "a" }]);
  await settled();
  const cannot = 'no provider of "logger" can take calls now:';
  expect(views.map(({ state, reason }) => `${state} ${reason}`)).toEqual([
    "available ",
    `unavailable ${cannot} a unhealthy: its link is broken until it has dialled again; b unready`,
    `unavailable ${cannot} a unhealthy: killed; it is started again; b unready`,
    `unavailable ${cannot} a unhealthy: killed; it is not started again; b unready: still loading`,
    `unavailable ${cannot} b unready: still loading`,
  ]);
  await stop();
});

test("a watcher sees only versions in its range", async () => {
  const catalog = catalogWith([{ record: pluginRecord("a"), versions: ["1.0.0"] }]);
  const { views, stop } = reader(new WatchHub(catalog), { minVersion: "^2" });
  await settled();
  expect(views[0]?.reason).toBe('no provider of "logger" satisfies "^2"; there is 1.0.0');
  catalog.apply([{ kind: "registration-put", registration: registrationOf("a", "logger", "2.1.0") }]);
  await settled();
  expect(views.map((view) => view.provider?.registration.version)).toEqual([undefined, "2.1.0"]);
  await stop();
});

test("a slow reader gets the newest state once, not the same state again, and its provider is a present one", async () => {
  const catalog = catalogWith([{ record: pluginRecord("a") }, { record: pluginRecord("b", "unready") }]);
  const iterator = new WatchHub(catalog).watch("logger")[Symbol.asyncIterator]();
  expect((await iterator.next()).value?.state).toBe("available");
  health(catalog, "a", "unhealthy");
  health(catalog, "a", "healthy");
  health(catalog, "a", "degraded");
  health(catalog, "b", "degraded");
  catalog.apply([{ kind: "plugin-removed", runtimeId: "a" }]);
  const { value } = await iterator.next();
  expect(value).toMatchObject({ state: "degraded", provider: { plugin: { runtimeId: "b" } } });
  health(catalog, "b", "unready");
  health(catalog, "b", "degraded");
  const next = iterator.next();
  await settled();
  health(catalog, "b", "healthy");
  expect((await next).value?.state).toBe("available");
  await iterator.return?.();
});

test.each([
  { why: "at the type's last change", resume: { epoch: "e1", number: 2 }, first: false },
  { why: "after it", resume: { epoch: "e1", number: 3 }, first: false },
  { why: "before it", resume: { epoch: "e1", number: 1 }, first: true },
  { why: "of another start of the host", resume: { epoch: "e0", number: 3 }, first: true },
  { why: "of the future", resume: { epoch: "e1", number: 4 }, first: true },
])("a watcher that resumes $why gets the present state first: $first", async ({ resume, first }) => {
  const catalog = catalogWith([{ record: pluginRecord("a") }]);
  health(catalog, "a", "degraded");
  catalog.apply([{ kind: "plugin-put", plugin: pluginRecord("other") }]);
  const { states, stop } = reader(new WatchHub(catalog), { resumeRevision: resume });
  await settled();
  expect(states()).toBe(first ? "degraded" : "");
  health(catalog, "a", "healthy");
  await settled();
  expect(states()).toBe(first ? "degraded available" : "available");
  await stop();
});

test("a change between subscription and the first read is in the first view", async () => {
  const catalog = catalogWith([{ record: pluginRecord("a") }]);
  const iterator = new WatchHub(catalog).watch("logger")[Symbol.asyncIterator]();
  const first = iterator.next();
  health(catalog, "a", "degraded");
  const states = [(await first).value?.state];
  if (states[0] !== "degraded") states.push((await iterator.next()).value?.state);
  expect(states.at(-1)).toBe("degraded");
  await iterator.return?.();
});

test("a subscriber that starts a watch before the hub has heard of a change gets the new state only", async () => {
  const catalog = catalogWith([{ record: pluginRecord("a") }]);
  let late: ReturnType<typeof reader> | undefined;
  catalog.subscribe(() => {
    late ??= reader(hub);
  });
  const hub = new WatchHub(catalog);
  const early = reader(hub);
  await settled();
  health(catalog, "a", "degraded");
  await settled();
  expect(late?.states()).toBe("degraded");
  expect(early.states()).toBe("available degraded");
  hub.close();
});

test("a state that another subscriber takes back at once does not stay with a watch that has begun in between", async () => {
  const catalog = catalogWith([{ record: pluginRecord("a") }]);
  let late: ReturnType<typeof reader> | undefined;
  catalog.subscribe(() => {
    if (late !== undefined) return;
    late = reader(hub);
    health(catalog, "a", "healthy");
  });
  const hub = new WatchHub(catalog);
  const early = reader(hub);
  await settled();
  health(catalog, "a", "degraded");
  await settled();
  expect(late?.states()).toBe("degraded available");
  expect(early.states()).toBe("available");
  hub.close();
});

test("a change is announced even if others looked at the type twice before the hub heard of it", async () => {
  const catalog = catalogWith([{ record: pluginRecord("a") }]);
  const late: ReturnType<typeof reader>[] = [];
  catalog.subscribe(() => {
    if (late.length > 0) return;
    late.push(reader(hub));
    health(catalog, "a", "degraded", "slow");
    late.push(reader(hub));
  });
  const hub = new WatchHub(catalog);
  const early = reader(hub);
  await settled();
  health(catalog, "a", "degraded");
  await settled();
  expect([early, ...late].map((one) => one.states())).toEqual(["available degraded", "degraded", "degraded"]);
  hub.close();
});

test("a later read does not overtake one that waits", async () => {
  const catalog = catalogWith([{ record: pluginRecord("a") }]);
  const reads: Promise<IteratorResult<ServiceView>>[] = [];
  catalog.subscribe(() => reads.push(iterator.next()));
  const iterator = new WatchHub(catalog).watch("logger")[Symbol.asyncIterator]();
  await iterator.next();
  reads.push(iterator.next());
  health(catalog, "a", "degraded");
  await iterator.return?.();
  expect((await Promise.all(reads)).map((read) => read.value?.state)).toEqual(["degraded", undefined]);
});

test("two reads at once never get the same view", async () => {
  const catalog = catalogWith([{ record: pluginRecord("a") }]);
  const iterator = new WatchHub(catalog).watch("logger")[Symbol.asyncIterator]();
  const reads = [iterator.next(), iterator.next(), iterator.next()];
  health(catalog, "a", "degraded");
  await iterator.return?.();
  expect((await Promise.all(reads)).map((read) => read.value?.state)).toEqual(["available", "degraded", undefined]);
});

test("watches end by their signal, by return while they wait, and with the hub; none is left", async () => {
  const catalog = catalogWith([{ record: pluginRecord("a") }]);
  const hub = new WatchHub(catalog);
  const abort = new AbortController();
  const bySignal = reader(hub, { signal: abort.signal });
  const byReturn = reader(hub);
  const byClose = reader(hub, { includeProviders: true });
  await settled();
  expect(hub.openWatches).toBe(3);
  abort.abort();
  await bySignal.done;
  expect(hub.openWatches).toBe(2);
  await byReturn.stop();
  await byReturn.done;
  expect(hub.openWatches).toBe(1);
  hub.close();
  await byClose.done;
  expect(hub.openWatches).toBe(0);
  const afterwards = reader(hub);
  await afterwards.done;
  const aborted = reader(new WatchHub(catalog), { signal: abort.signal });
  await aborted.done;
  expect([afterwards.views, aborted.views]).toEqual([[], []]);
});

test("all who watch the same get the same object, taken once per change", async () => {
  const catalog = catalogWith([{ record: pluginRecord("a") }]);
  const hub = new WatchHub(catalog);
  const readers = Array.from({ length: 100 }, () => reader(hub, { includeProviders: true }));
  await settled();
  health(catalog, "a", "degraded");
  await settled();
  expect(new Set(readers.map((one) => one.views[1])).size).toBe(1);
  hub.close();
});

test("a range that is none is refused at once", () => {
  expect(() => new WatchHub(catalogWith([])).watch("logger", { minVersion: "soon!" })).toThrowError(
    expect.objectContaining({ code: "INVALID_ARGUMENT", field: "minVersion" }),
  );
});
