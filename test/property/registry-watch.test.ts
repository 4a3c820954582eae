import fc from "fast-check";
import { expect, test } from "vitest";
import type { Change, PluginPhase } from "../../src/model/catalog.js";
import type { HealthState } from "../../src/model/health.js";
import { Catalog } from "../../src/registry/catalog.js";
import { ServiceRegistry } from "../../src/registry/service-registry.js";
import type { ServiceView } from "../../src/registry/service-view.js";
import { pluginRecord, registrationOf } from "../support/catalog-samples.js";

const ids = ["a", "b", "c"];
const ranges = ["", "2.0.0", "^1"];
const states: HealthState[] = ["unready", "healthy", "degraded", "unhealthy"];
const phases: PluginPhase[] = [
  { kind: "serving" },
  { kind: "serving" },
  { kind: "leaving", reason: "removed" },
  { kind: "draining", reason: "" },
];

/** One step: a batch that is always possible, made from what the catalog holds at that moment. */
const step = fc.record({
  id: fc.constantFrom(...ids),
  action: fc.constantFrom("put", "put", "put", "register", "register", "unregister", "remove"),
  state: fc.constantFrom(...states),
  phase: fc.constantFrom(...phases),
  reason: fc.constantFrom("", "", "slow"),
  version: fc.constantFrom("1.0.0", "2.1.0"),
  type: fc.constantFrom("logger", "logger", "other"),
  /** Whether the readers get time to read before the next step. */
  pause: fc.boolean(),
});
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

function batchOf(catalog: Catalog, given: Step): Change[] {
  const { id, type, version } = given;
  const put: Change = { kind: "plugin-put", plugin: pluginRecord(id, given.state, given.reason, given.phase) };
  if (given.action === "put") return [put];
  if (given.action === "register") {
    const known = catalog.plugin(id) === undefined ? [put] : [];
    return [...known, { kind: "registration-put", registration: registrationOf(id, type, version) }];
  }
  if (given.action === "remove")
    return catalog.plugin(id) === undefined ? [] : [{ kind: "plugin-removed", runtimeId: id }];
  const registered = catalog.registrationsOfPluginAndType(id, type)[0];
  return registered === undefined ? [] : [{ kind: "registration-removed", registrationId: registered.registrationId }];
}

/** What a watcher can tell apart, found without the watch hub's code. */
function visible(catalog: Catalog, registry: ServiceRegistry, minVersion: string, includeProviders: boolean): unknown {
  const found = registry.find("logger", { minVersion, strategyOverride: "first" });
  const state = found.kind === "none" ? "unavailable" : found.provider.plugin.health.state;
  if (!includeProviders) return state;
  const each = catalog.providersOf("logger").map((p) => p.plugin.runtimeId);
  const providers = [...new Set(each)].map((id) => {
    const versions = catalog.registrationsOfPluginAndType(id, "logger").map((r) => r.version);
    const fits = versions.find((v) => (minVersion === "^1" ? v.startsWith("1") : minVersion === "" || v >= minVersion));
    const plugin = catalog.plugin(id);
    const phase = plugin?.phase.kind;
    if (fits === undefined) return undefined;
    return phase === "serving"
      ? [id, fits, plugin?.health.state, plugin?.health.reason]
      : [id, fits, phase, plugin?.phase.kind === "leaving" ? "removed" : ""];
  });
  return [state, ...providers.filter((one) => one !== undefined)];
}

const shownBy = (view: ServiceView, includeProviders: boolean): unknown => {
  const state = view.state === "available" ? "healthy" : view.state;
  if (!includeProviders) return state;
  const providers = view.providers?.map((p) => [
    p.provider.plugin.runtimeId,
    p.provider.registration.version,
    p.state,
    p.reason,
  ]);
  return [state, ...(providers ?? [])];
};

/** Promise jobs run before immediates: after one of these every reader has read what there was. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

test("watchers, fast and slow, see every state that lasts, in order, none that was not, none twice in a row, and none after they stop", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 30 }),
      fc.constantFrom(...ranges),
      fc.boolean(),
      fc.nat(30),
      async (steps, minVersion, includeProviders, stopAfter) => {
        const catalog = new Catalog({ epoch: "e" });
        const registry = new ServiceRegistry(catalog);
        const now = () => visible(catalog, registry, minVersion, includeProviders);
        const read: unknown[] = [];
        const stopped: unknown[] = [];
        const abort = new AbortController();
        const follow = async (into: unknown[], signal?: AbortSignal) => {
          for await (const view of registry.watch("logger", { minVersion, includeProviders, signal })) {
            into.push(shownBy(view, includeProviders));
          }
        };
        const readers = [follow(read), follow(stopped, abort.signal)];
        const slow = registry.watch("logger", { minVersion, includeProviders })[Symbol.asyncIterator]();
        let slowSaw = shownBy((await slow.next()).value, includeProviders);
        await settled();

        const lasted: unknown[] = [now()];
        const existed = new Set([JSON.stringify(now())]);
        let stoppedAt = Number.POSITIVE_INFINITY;
        for (const [index, given] of steps.entries()) {
          if (index === stopAfter) {
            await settled();
            lasted.push(now());
            stoppedAt = stopped.length;
            abort.abort();
          }
          catalog.apply(batchOf(catalog, given));
          existed.add(JSON.stringify(now()));
          if (!given.pause) continue;
          await settled();
          lasted.push(now());
        }
        await settled();
        lasted.push(now());

        expect(read).toEqual(withoutRepeats(read));
        expect(isSubsequence(withoutRepeats(lasted), read)).toBe(true);
        expect(read.filter((one) => !existed.has(JSON.stringify(one)))).toEqual([]);
        if (stoppedAt < Number.POSITIVE_INFINITY) expect(stopped).toHaveLength(stoppedAt);
        // The slow one has read nothing since its first view: it gets the final state, or nothing if that is the same.
        const next = slow.next();
        registry.close();
        const { value, done } = await next;
        if (!done) slowSaw = shownBy(value, includeProviders);
        expect([slowSaw]).toEqual([now()]);
        await slow.return?.();
        await Promise.all(readers);
        expect(registry.openWatches).toBe(0);
      },
    ),
    { numRuns: 200 },
  );
});

const withoutRepeats = (all: readonly unknown[]): unknown[] =>
  all.filter((one, i) => i === 0 || JSON.stringify(one) !== JSON.stringify(all[i - 1]));

function isSubsequence(part: readonly unknown[], whole: readonly unknown[]): boolean {
  const texts = whole.map((one) => JSON.stringify(one));
  let from = 0;
  return part.every((one) => {
    const place = texts.indexOf(JSON.stringify(one), from);
    from = place + 1;
    return place >= 0;
  });
}
