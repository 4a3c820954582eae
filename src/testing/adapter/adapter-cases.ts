import { deepEqual, equal } from "node:assert/strict";
import { featured } from "./adapter-feature-cases.js";
import type { AdapterFeature } from "./adapter-under-test.js";
import { type Case, refusing } from "./refusing.js";

const registering = {
  "what is registered is in the platform's registry, with its version and its address": async (bench) => {
    const { address } = await bench.register("outside", { version: "1.2.3" });
    deepEqual(bench.inRegistry(), ["1.2.3 healthy"]);
    const [status] = bench.host.platform.registry.providers("greeter");
    const runtimeId = status?.provider.registration.runtimeId ?? "";
    equal(bench.host.platform.plugin(runtimeId).endpointUrl, address);
  },

  "what is registered is called by plugins through the host": async (bench) => {
    const call = await bench.caller();
    await bench.register("outside");
    equal(await call(), "outside");
  },

  "what is registered is found, and answers at the address that is given": async (bench) => {
    await bench.register("outside");
    equal(await bench.found(), "outside");
  },

  "registering the same again is an update": async (bench) => {
    const { id, address } = await bench.register("outside");
    const again = { type: "greeter", version: "1.0.0", address, metadata: {} };
    equal((await bench.adapter.register(again)).id, id);
    deepEqual(bench.inRegistry(), ["1.0.0 healthy"]);
    equal(await bench.found(), "outside");
  },

  "what is deregistered is gone everywhere at once": async (bench) => {
    const call = await bench.caller();
    const { id } = await bench.register("outside");
    equal(await call(), "outside");
    equal(await bench.found(), "outside");
    await bench.adapter.deregister(id);
    deepEqual(bench.inRegistry(), []);
    equal(await bench.found(), undefined);
    deepEqual(await bench.adapter.list?.(), bench.adapter.list && []);
    equal(await call(), undefined);
  },

  "deregistering twice takes nothing away from others": async (bench) => {
    const { id } = await bench.register("first");
    await bench.adapter.deregister(id);
    await bench.register("second");
    // Whether the second time is an error is the registry's own affair.
    await bench.adapter.deregister(id).catch(() => {});
    deepEqual(bench.inRegistry(), ["1.0.0 healthy"]);
    equal(await bench.found(), "second");
  },
} satisfies Record<string, Case>;

const finding = {
  "a type that nobody provides is not found": async (bench) => {
    equal(await bench.found(), undefined);
  },

  "a plugin of the host is found, and answers at the address that is given": async (bench) => {
    await bench.add("native");
    equal(await bench.found(), "native");
  },

  "an unhealthy provider is not given out until it is well again": async (bench) => {
    const { context } = await bench.add("native");
    equal(await bench.found(), "native");
    context.reportHealth("unhealthy", "ill");
    await bench.host.untilHealth("native", "unhealthy");
    equal(await bench.found(), undefined);
    context.reportHealth("healthy");
    await bench.host.untilHealthy("native");
    equal(await bench.found(), "native");
  },

  "a degraded provider is given out only if there is no healthy one": async (bench) => {
    const { context } = await bench.add("native");
    context.reportHealth("degraded", "slow");
    await bench.host.untilHealth("native", "degraded");
    equal(await bench.found(), "native");
    await bench.add("healthy");
    equal(await bench.found(), "healthy");
  },

  "a provider that drains is not given out": async (bench) => {
    const { view, held, release } = await bench.add("native");
    equal(await bench.found(), "native");
    const call = (await bench.caller())("/hold");
    await held;
    const unregistered = bench.host.next("unregistered");
    const limits = { graceMs: 0, drainMs: 60_000 };
    const removal = bench.host.platform.removePlugin(view.runtimeId, { limits });
    await unregistered;
    equal(await bench.found(), undefined);
    release();
    equal(await call, "native");
    await removal;
  },
} satisfies Record<string, Case>;

const refusals = {
  "a service type that is none is refused by its name, and changes nothing": //
    refusing("type", ["", "9lives", "a b", "a/b", "a..b"]),
  "an address that is none is refused by its name, and changes nothing": //
    refusing("address", ["", "nowhere", "ftp://127.0.0.1:1", "http://127.0.0.1:1?x"]),
} satisfies Record<string, Case>;

const closing = {
  "an adapter that closes takes what was registered through it along, and nothing else": async (bench) => {
    await bench.register("outside");
    await bench.add("native");
    await bench.adapter.close();
    deepEqual(
      bench.host.platform.registry.providers("greeter").map(({ provider }) => provider.plugin.selfId),
      ["native"],
    );
    const call = await bench.caller();
    equal(await call(), "native", "the host does not serve any more");
  },

  "closing it twice, and twice at once, is closing it once, and leaves nothing behind": async (bench) => {
    const { adapter } = bench;
    await bench.register("outside");
    await Promise.all([adapter.close(), adapter.close()]);
    await adapter.close();
  },

  "the host can stop before it": async (bench) => {
    await bench.register("outside");
    await bench.host.stop();
    await bench.adapter.close();
  },
} satisfies Record<string, Case>;

const always = { ...registering, ...finding, ...refusals, ...closing };

type Featured = typeof featured;

/** Name of a case, to leave it out with a reason. */
export type AdapterCaseName = keyof typeof always | { [F in keyof Featured]: keyof Featured[F] }[keyof Featured];

/** All cases by their names, which are sentences, each with what a registry has to have for it. */
export const adapterCases = Object.fromEntries([
  ...Object.entries(always).map(([name, check]) => [name, { feature: undefined, check }]),
  ...Object.entries(featured).flatMap(([feature, cases]) =>
    Object.entries(cases).map(([name, check]) => [name, { feature, check }]),
  ),
]) as Readonly<Record<AdapterCaseName, { readonly feature: AdapterFeature | undefined; readonly check: Case }>>;
