import { deepEqual, equal, notEqual } from "node:assert/strict";
import type { AdapterFeature } from "./adapter-under-test.js";
import { settles } from "./open-resources.js";
import { type Case, refusing } from "./refusing.js";

/** Cases for what not every registry has, by what it has to have. */
export const featured = {
  modules: {
    "a plugin without an address is found, and answers at the address that is given": async (bench) => {
      await bench.add("module", { as: "module" });
      equal(await bench.found(), "module");
    },
  },
  replicas: {
    "two registrations at once are two providers": async (bench) => {
      const call = await bench.caller();
      const [one, two] = await Promise.all([bench.register("one"), bench.register("two")]);
      notEqual(one.id, two.id);
      deepEqual(bench.inRegistry(), ["1.0.0 healthy", "1.0.0 healthy"]);
      deepEqual([await call(), await call()].sort(), ["one", "two"]);
      await bench.adapter.deregister(one.id);
      equal(await bench.found(), "two");
    },
  },
  versions: {
    "versions are compared as versions, not as texts": async (bench) => {
      await bench.register("nine", { version: "9.0.0" });
      equal(await bench.found("10.0.0"), undefined);
      await bench.add("ten", { version: "10.0.0" });
      equal(await bench.found("9.5.0"), "ten");
      equal(await bench.found("10.0.0"), "ten");
    },
    "a version that is none is refused by its name, and changes nothing": //
      refusing("version", ["", "1.2", "v1.2.3", "latest"]),
    "a lowest version that is none is refused by its name": async (bench) => {
      await bench.register("good");
      const look = () => bench.adapter.discover("greeter", { minVersion: "not-a-version" });
      await bench.refuses("the lowest version not-a-version", "version", look);
    },
  },
  metadata: {
    "metadata is in the platform's registry, and registering again changes it": async (bench) => {
      const address = await bench.provider("outside");
      const service = { type: "greeter", version: "1.0.0", address };
      const zones = (): (string | undefined)[] =>
        bench.host.platform.registry.providers("greeter").map(({ provider }) => provider.registration.metadata.zone);
      const { id } = await bench.adapter.register({ ...service, metadata: { zone: "a" } });
      deepEqual(zones(), ["a"]);
      equal((await bench.adapter.register({ ...service, metadata: { zone: "b" } })).id, id);
      deepEqual(zones(), ["b"]);
    },
  },
  list: {
    "it lists what is registered, and what the host has": async (bench) => {
      const list = bench.method("list");
      deepEqual(await list(), []);
      await bench.register("outside", { type: "other" });
      await bench.add("native");
      deepEqual([...(await list())].sort(), ["greeter", "other"]);
    },
  },
  heartbeat: {
    "a heartbeat changes nothing that others see": async (bench) => {
      const { id } = await bench.register("outside");
      const before = await bench.picture();
      await bench.method("heartbeat")(id);
      deepEqual(await bench.picture(), before);
    },
    "a heartbeat of what is deregistered is refused, and does not bring it back": async (bench) => {
      const { id } = await bench.register("outside");
      await bench.adapter.deregister(id);
      const outcome = await bench
        .method("heartbeat")(id)
        .then(
          () => "taken",
          () => "refused",
        );
      equal(outcome, "refused");
      deepEqual(bench.inRegistry(), []);
    },
  },
  watch: {
    "a watch tells what there is, and each change of it": async (bench) => {
      const told = await bench.watch();
      await told.untilFrom(undefined);
      const { id } = await bench.register("outside");
      await told.untilFrom("outside");
      await bench.adapter.deregister(id);
      await told.untilFrom(undefined);
    },
    "a watch is told when the host removes a plugin": async (bench) => {
      const { view } = await bench.add("native");
      const told = await bench.watch();
      await told.untilFrom("native");
      await bench.host.platform.removePlugin(view.runtimeId, { limits: { graceMs: 0 } });
      await told.untilFrom(undefined);
    },
    "a watch that is closed leaves nothing in the host": async (bench) => {
      const { registry } = bench.host.platform;
      const before = registry.openWatches;
      const told = await bench.watch();
      await told.untilFrom(undefined);
      await told.close();
      await settles(
        () => registry.openWatches <= before,
        bench.waitMs,
        () => `${registry.openWatches - before} more watches are open`,
      );
    },
    "an adapter that closes ends its watches": async (bench) => {
      const { registry } = bench.host.platform;
      const before = registry.openWatches;
      await (await bench.watch()).untilFrom(undefined);
      await bench.adapter.close();
      await settles(
        () => registry.openWatches <= before,
        bench.waitMs,
        () => `${registry.openWatches - before} watches are still open`,
      );
    },
  },
} satisfies Record<AdapterFeature, Record<string, Case>>;
