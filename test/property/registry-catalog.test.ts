import fc from "fast-check";
import semver from "semver";
import { expect, test } from "vitest";
import type { Change, PluginRecord, Registration } from "../../src/model/catalog.js";
import { Catalog } from "../../src/registry/catalog.js";
import { pluginRecord } from "../support/catalog-samples.js";

/** The same rules without any index: lists that are searched from end to end, copied before each batch. */
class NaiveCatalog {
  plugins: PluginRecord[] = [];
  registrations: Registration[] = [];
  aliases: { from: string; to: string }[] = [];

  apply(changes: readonly Change[]): boolean {
    const before = [this.plugins, this.registrations, this.aliases] as const;
    const known = new Set(before[0].map((plugin) => plugin.runtimeId));
    for (const change of changes) {
      if (change.kind === "plugin-put") known.add(change.plugin.runtimeId);
      if (this.#play(change)) continue;
      [this.plugins, this.registrations, this.aliases] = before;
      return false;
    }
    for (const id of known) if (!this.has(id)) this.aliases = this.aliases.filter((alias) => alias.to !== id);
    return true;
  }

  has(id: string): boolean {
    return this.plugins.some((plugin) => plugin.runtimeId === id);
  }

  resolve(id: string): string {
    return this.aliases.find((alias) => alias.from === id)?.to ?? id;
  }

  of(runtimeId: string, type: string): Registration[] {
    const own = this.registrations.filter((r) => r.runtimeId === runtimeId && r.type === type);
    return own.sort((a, b) => semver.rcompare(a.version, b.version));
  }

  #play(change: Change): boolean {
    switch (change.kind) {
      case "plugin-put": {
        const { plugin } = change;
        if (this.has(plugin.runtimeId)) {
          this.plugins = this.plugins.map((old) => (old.runtimeId === plugin.runtimeId ? plugin : old));
        } else this.plugins = [...this.plugins, plugin];
        return true;
      }
      case "plugin-removed":
        if (!this.has(change.runtimeId)) return false;
        this.plugins = this.plugins.filter((plugin) => plugin.runtimeId !== change.runtimeId);
        this.registrations = this.registrations.filter((r) => r.runtimeId !== change.runtimeId);
        return true;
      case "registration-put": {
        const { registration } = change;
        if (!this.has(registration.runtimeId)) return false;
        const old = this.registrations.find((r) => r.registrationId === registration.registrationId);
        if (old !== undefined && (old.runtimeId !== registration.runtimeId || old.type !== registration.type))
          return false;
        if (old?.version === registration.version) {
          this.registrations = this.registrations.map((r) => (r === old ? registration : r));
        } else this.registrations = [...this.registrations.filter((r) => r !== old), registration];
        return true;
      }
      case "registration-removed": {
        const rest = this.registrations.filter((r) => r.registrationId !== change.registrationId);
        if (rest.length === this.registrations.length) return false;
        this.registrations = rest;
        return true;
      }
      case "alias-put": {
        const to = this.resolve(change.to);
        if (to === change.from || !this.has(to)) return false;
        const moved = this.aliases.map((alias) => (alias.to === change.from ? { from: alias.from, to } : alias));
        this.aliases = [...moved.filter((alias) => alias.from !== change.from), { from: change.from, to }];
        return true;
      }
      case "alias-removed":
        this.aliases = this.aliases.filter((alias) => alias.from !== change.from);
        return true;
    }
  }
}

const runtimeIds = ["a", "b", "c", "d"];
const types = ["t1", "t2"];
const runtimeId = fc.constantFrom(...runtimeIds);
const plugin = fc
  .record({ runtimeId, state: fc.constantFrom("healthy" as const, "degraded" as const) })
  .map(({ runtimeId: id, state }) => pluginRecord(id, state));
const registration: fc.Arbitrary<Registration> = fc.record({
  registrationId: fc.integer({ min: 1, max: 8 }).map((n) => `reg-${n}`),
  runtimeId,
  type: fc.constantFrom(...types),
  version: fc.constantFrom("1.0.0", "1.2.0", "1.10.0", "2.0.0-rc.1", "2.0.0"),
  path: fc.constantFrom("/", "/p/"),
  metadata: fc.constantFrom({}, { zone: "z" }),
  registeredAt: fc.constant(0),
});
const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 4, arbitrary: plugin.map((record): Change => ({ kind: "plugin-put", plugin: record })) },
  { weight: 1, arbitrary: runtimeId.map((id): Change => ({ kind: "plugin-removed", runtimeId: id })) },
  { weight: 5, arbitrary: registration.map((r): Change => ({ kind: "registration-put", registration: r })) },
  {
    weight: 1,
    arbitrary: registration.map((r): Change => ({ kind: "registration-removed", registrationId: r.registrationId })),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(runtimeId, runtimeId).map(([from, to]): Change => ({ kind: "alias-put", from, to })),
  },
  { weight: 1, arbitrary: runtimeId.map((from): Change => ({ kind: "alias-removed", from })) },
);

test("after any batches every read of the catalog equals a naive model's, and a refused batch changes nothing", () => {
  fc.assert(
    fc.property(fc.array(fc.array(change, { minLength: 1, maxLength: 5 }), { maxLength: 25 }), (batches) => {
      const catalog = new Catalog({ epoch: "e" });
      const model = new NaiveCatalog();
      let events = 0;
      catalog.subscribe(() => {
        events += 1;
      });
      for (const batch of batches) {
        const applied = model.apply(batch);
        const number = catalog.revision.number;
        const before = JSON.stringify(types.map((type) => catalog.providersOf(type)));
        if (applied) catalog.apply(batch);
        else expect(() => catalog.apply(batch)).toThrow();
        expect(catalog.revision.number).toBe(number + (applied ? 1 : 0));
        expect(events).toBe(catalog.revision.number);
        expectSameReads(catalog, model);
        const changed = types.some((type) => catalog.typeRevision(type) === number + 1);
        // What a type's providers look like never changes without its revision.
        if (!changed) expect(JSON.stringify(types.map((type) => catalog.providersOf(type)))).toBe(before);
      }
    }),
    { numRuns: 300 },
  );
});

function expectSameReads(catalog: Catalog, model: NaiveCatalog): void {
  expect(catalog.plugins()).toEqual(model.plugins);
  expect(Object.fromEntries(catalog.aliases)).toEqual(Object.fromEntries(model.aliases.map((a) => [a.from, a.to])));
  expect([...catalog.types()].sort()).toEqual([...new Set(model.registrations.map((r) => r.type))].sort());
  for (let n = 1; n <= 8; n++) {
    expect(catalog.registration(`reg-${n}`)).toEqual(model.registrations.find((r) => r.registrationId === `reg-${n}`));
  }
  for (const id of runtimeIds) {
    expect(catalog.plugin(id)).toEqual(model.plugins.find((record) => record.runtimeId === id));
    expect(catalog.resolveAlias(id)).toBe(model.resolve(id));
    expect(sorted(catalog.registrationsOf(id))).toEqual(sorted(model.registrations.filter((r) => r.runtimeId === id)));
    for (const type of types) {
      const own = catalog.registrationsOfPluginAndType(id, type);
      expect(own.map((r) => r.version)).toEqual(model.of(id, type).map((r) => r.version));
      expect(sorted(own)).toEqual(sorted(model.of(id, type)));
    }
  }
  for (const type of types) {
    const providers = catalog.providersOf(type);
    expect(sorted(providers.map((p) => p.registration))).toEqual(
      sorted(model.registrations.filter((r) => r.type === type)),
    );
    for (const p of providers) expect(p.plugin).toBe(catalog.plugin(p.registration.runtimeId));
  }
}

const sorted = (registrations: readonly Registration[]): Registration[] =>
  [...registrations].sort((a, b) => (a.registrationId < b.registrationId ? -1 : 1));
