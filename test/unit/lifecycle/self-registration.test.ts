import { describe, expect, test } from "vitest";
import { deferred } from "../../../src/internal/deferred.js";
import { lifecycleBench, remoteOf } from "../../support/lifecycle-bench.js";

const url = "http://127.0.0.1:4001";

/** When something can happen while a program is added. */
const moments = ["before", "describe", "identify", "health", "after"] as const;
type Moment = (typeof moments)[number];

const cases = moments.flatMap((handshakeAt, i) =>
  moments
    .slice(i)
    .flatMap((registerAt) =>
      [true, false].flatMap((saysWhere) =>
        [1, 2].map((handshakes) => ({ handshakeAt, registerAt, saysWhere, handshakes })),
      ),
    ),
);

describe("one started program has one identity, whatever comes first", () => {
  test.each(cases)(
    "handshake $handshakeAt, registration $registerAt, $handshakes of each, address in the handshake: $saysWhere",
    async ({ handshakeAt, registerAt, saysWhere, handshakes }) => {
      const given: { runtimeId: string; token: string }[] = [];
      const own: { runtimeId: string; token: string }[] = [];
      const passed = new Set<Moment>();
      const bench = lifecycleBench(() =>
        remoteOf({
          getPluginInfo: async () => {
            pass("describe");
            return {
              selfId: "echo",
              selfVersion: "1.0.0",
              provides: [{ type: "echo", version: "1.0.0", path: "/echo/" }],
              requires: [],
              metadata: {},
            };
          },
          setRuntimeIdentity: async (identity) => {
            given.push(identity);
            pass("identify");
            return "accepted";
          },
          getHealth: async () => {
            // Who has an identity already is not given one, so that step may have passed without a call.
            pass("identify");
            if (bench.lifecycleStarted) pass("health");
            return { verdict: "healthy", reason: "", unavailableDependencies: [] };
          },
        }),
      ) as ReturnType<typeof lifecycleBench> & { lifecycleStarted?: boolean };
      function pass(moment: Moment): void {
        if (passed.has(moment)) return;
        passed.add(moment);
        bench.clock.advance(1);
        if (moment === handshakeAt) for (let i = 0; i < handshakes; i++) own.push(bench.join(saysWhere ? url : ""));
        if (moment === registerAt) for (const { runtimeId } of own) register(runtimeId);
      }
      function register(runtimeId: string): void {
        // The principal of a merged identity is the one that it was merged into, as the front finds it.
        const now = bench.identities.get(runtimeId)?.runtimeId ?? runtimeId;
        bench.register(now, url);
      }
      pass("before");
      bench.lifecycleStarted = true;
      const plugin = await bench.add(url);
      pass("after");
      await new Promise(setImmediate);
      expect(bench.catalog.plugins()).toHaveLength(1);
      expect([...bench.directory.all()]).toHaveLength(1);
      expect(bench.catalog.providersOf("echo")).toHaveLength(1);
      expect(bench.identities.size).toBe(1);
      const [visible] = bench.catalog.plugins();
      // Only a program that was started again after it had been added is another one.
      if (handshakeAt !== "after") expect(visible?.runtimeId).toBe(plugin.runtimeId);
      for (const { runtimeId, token } of own) {
        expect(bench.identities.verify(runtimeId, token)?.runtimeId).toBe(visible?.runtimeId);
      }
      expect(bench.catalog.resolveAlias(plugin.runtimeId)).toBe(visible?.runtimeId);
      const isKnownBefore = (saysWhere && handshakeAt === "describe") || ["before", "describe"].includes(registerAt);
      expect(given).toHaveLength(isKnownBefore ? 0 : 1);
      await bench.lifecycle.stop(() => [[visible?.runtimeId ?? ""]], 1_000);
      bench.directory.close();
      expect(bench.identities.size).toBe(0);
      expect(bench.clock.pending).toBe(0);
    },
  );
});

describe("what came by itself stays by itself when the operation that found it fails", () => {
  const failing = (): ReturnType<typeof lifecycleBench> & { fail: () => void } => {
    const answer = deferred<never>();
    const bench = lifecycleBench(() => remoteOf({ getPluginInfo: () => answer.promise }));
    return { ...bench, fail: () => answer.reject(new Error("no")) };
  };

  test("with its services, if it had registered them", async () => {
    const { add, join, register, fail, catalog, identities } = failing();
    const adding = add(url);
    const { runtimeId, token } = join();
    register(runtimeId, url);
    expect(catalog.plugins()).toEqual([]);
    fail();
    await expect(adding).rejects.toMatchObject({ step: "describe" });
    expect(catalog.plugins()).toMatchObject([{ runtimeId, origin: "self-registered" }]);
    expect(catalog.providersOf("echo")).toHaveLength(1);
    expect(identities.verify(runtimeId, token)).toBeDefined();
  });

  test("unseen, if it had only shaken hands", async () => {
    const { add, join, register, fail, catalog } = failing();
    const adding = add(url);
    const { runtimeId } = join(url);
    fail();
    await expect(adding).rejects.toMatchObject({ step: "describe" });
    expect(catalog.plugins()).toEqual([]);
    register(runtimeId, url);
    expect(catalog.plugins()).toMatchObject([{ runtimeId, origin: "self-registered" }]);
  });

  test("and one that was visible stays so without a break", async () => {
    const { add, join, register, fail, catalog } = failing();
    const { runtimeId } = join();
    register(runtimeId, url);
    const adding = add(url);
    fail();
    await expect(adding).rejects.toMatchObject({ step: "describe" });
    expect(catalog.plugins()).toMatchObject([{ runtimeId, origin: "self-registered", phase: { kind: "serving" } }]);
  });
});

describe("a plugin that registers by itself", () => {
  test("is replaced at once by a new start of it at the same address, in one revision, and its id leads there", () => {
    const { join, register, catalog, clock, identities, events } = lifecycleBench();
    const old = join();
    register(old.runtimeId, url);
    clock.advance(10);
    const fresh = join();
    const before = catalog.revision.number;
    register(fresh.runtimeId, url);
    expect(catalog.revision.number).toBe(before + 1);
    expect(catalog.plugins()).toMatchObject([{ runtimeId: fresh.runtimeId }]);
    expect(catalog.resolveAlias(old.runtimeId)).toBe(fresh.runtimeId);
    expect(identities.verify(old.runtimeId, old.token)).toBeUndefined();
    expect(events.map(({ name }) => name)).toContain("plugin-replaced");
  });

  test("is a replica at another address", () => {
    const { join, register, catalog, clock } = lifecycleBench();
    register(join().runtimeId, url);
    clock.advance(10);
    register(join().runtimeId, "http://127.0.0.1:4002");
    expect(catalog.plugins()).toHaveLength(2);
  });

  test("is another plugin at the same address if it calls itself otherwise", () => {
    const { join, register, catalog, clock } = lifecycleBench();
    register(join("", "one").runtimeId, url);
    clock.advance(10);
    register(join("", "two").runtimeId, url, "/two/");
    expect(catalog.plugins()).toHaveLength(2);
  });

  test("updates a service by registering the same again, and adds one by another path", () => {
    const { join, register, catalog } = lifecycleBench();
    const { runtimeId } = join();
    const { registrationId } = register(runtimeId, url);
    expect(register(runtimeId, url).registrationId).toBe(registrationId);
    expect(register(runtimeId, url, "/other/").registrationId).not.toBe(registrationId);
    expect(catalog.registrationsOf(runtimeId)).toHaveLength(2);
  });

  test("cannot listen at two addresses", () => {
    const { join, register } = lifecycleBench();
    const { runtimeId } = join();
    register(runtimeId, url);
    expect(() => register(runtimeId, "http://127.0.0.1:4002", "/other/")).toThrow("metadata.base_url is not that of");
  });

  test("keeps services that it registered before it said where it is, when it turns out to be one that was added", async () => {
    const { add, join, register, catalog } = lifecycleBench();
    const { runtimeId } = join();
    const early = register(runtimeId, undefined, "/early/", "early");
    expect(catalog.plugins()).toMatchObject([{ runtimeId, address: { kind: "external" } }]);
    const plugin = await add(url);
    register(runtimeId, url);
    expect(catalog.plugins().map((record) => record.runtimeId)).toEqual([plugin.runtimeId]);
    expect(catalog.registration(early.registrationId)?.runtimeId).toBe(plugin.runtimeId);
    expect(catalog.resolveAlias(runtimeId)).toBe(plugin.runtimeId);
  });

  test.each([
    { field: "service_type", type: "1st" },
    { field: "version", version: "latest" },
    { field: "endpoint_path", path: "no slash" },
    { field: "metadata key", metadata: { "bad key": "" } },
    { field: "metadata.base_url", metadata: { base_url: "ftp://x" } },
  ])("is refused with the name of $field, and nothing changes", ({ field, ...bad }) => {
    const { selfRegistration, join, catalog } = lifecycleBench();
    const { runtimeId } = join();
    const input = { type: "echo", version: "1.0.0", path: "/", metadata: {}, ...bad };
    expect(() => selfRegistration.register(runtimeId, input, "127.0.0.1")).toThrow(field);
    expect(catalog.plugins()).toEqual([]);
  });

  test("can take its own services away, and nobody else's", () => {
    const { selfRegistration, join, register, catalog } = lifecycleBench();
    const mine = join("", "mine").runtimeId;
    const { registrationId } = register(mine, url);
    const other = join("", "other").runtimeId;
    register(other, "http://127.0.0.1:4002");
    expect(() => selfRegistration.unregister(other, registrationId)).toThrow("belongs to another plugin");
    expect(() => selfRegistration.unregister(mine, "reg-0")).toThrow('no registration has the id "reg-0"');
    selfRegistration.unregister(mine, registrationId);
    expect(catalog.registration(registrationId)).toBeUndefined();
    expect(() => selfRegistration.unregister(mine, registrationId)).toThrow("no registration");
  });

  test("cannot register while it is being removed, nor when it is gone", () => {
    const { join, register, directory } = lifecycleBench();
    const { runtimeId } = join();
    register(runtimeId, url);
    const plugin = directory.get(runtimeId);
    if (plugin === undefined) throw new Error("it is there");
    directory.withdraw(plugin, "test");
    expect(() => register(runtimeId, url)).toThrow("is being removed");
    directory.retire(plugin, "test");
    expect(() => register(runtimeId, url)).toThrow("handshake again");
  });
});

test("what a gone plugin is told has no effect: it does not come back", async () => {
  const { join, register, directory, catalog, clock } = lifecycleBench();
  const { runtimeId } = join();
  register(runtimeId, url);
  const plugin = directory.get(runtimeId);
  if (plugin === undefined) throw new Error("it is there");
  directory.retire(plugin, "test");
  const { number } = catalog.revision;
  directory.withdraw(plugin, "again");
  directory.retire(plugin, "again");
  directory.publish(plugin);
  directory.monitor(plugin);
  directory.report(plugin, "healthy", "", []);
  expect(() => directory.commit(plugin)).toThrow("has ended meanwhile");
  await new Promise(setImmediate);
  expect(catalog.revision.number).toBe(number);
  expect(clock.pending).toBe(0);
});
