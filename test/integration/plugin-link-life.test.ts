import { create, toBinary } from "@bufbuild/protobuf";
import { type Client, Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { systemClock } from "../../src/internal/clock.js";
import { deferred } from "../../src/internal/deferred.js";
import { closeCode } from "../../src/link/frame.js";
import { definePlugin, type PluginEvent, type ServeOptions, servePlugin } from "../../src/plugin/index.js";
import { failureOf } from "../contract/transports/outcome.js";
import { conditions } from "../support/conditions.js";
import { echoOnly } from "../support/echo-plugin.js";
import { FakeHost } from "../support/fake-host.js";
import { Echo, SayResponseSchema } from "../support/gen/echo/v1/echo_pb.js";

const provider = definePlugin({
  id: "provider",
  version: "1.0.0",
  provides: { echo: { service: Echo } },
  setup: () => ({ echo: echoOnly("provider") }),
});

/** Serves a plugin and keeps its events, so that tests can wait for them. */
async function serve(plugin: Parameters<typeof servePlugin>[0], options: ServeOptions) {
  const events: PluginEvent[] = [];
  const { look, until } = conditions();
  const running = await servePlugin(plugin, {
    env: {},
    backOff: { firstMs: 1, longestMs: 20 },
    onEvent(event) {
      events.push(event);
      look();
    },
    ...options,
  });
  return {
    running,
    events,
    /** Resolves when there have been so many events of a kind. */
    until: (kind: PluginEvent["kind"], count = 1) =>
      until(() => events.filter((event) => event.kind === kind).length >= count),
    [Symbol.asyncDispose]: () => running.stop({ graceMs: 100 }),
  };
}

/** A plugin that calls echo, and its client. */
async function serveCaller(hostUrl: string) {
  let client: Client<typeof Echo> | undefined;
  const plugin = definePlugin({
    id: "caller",
    version: "1.0.0",
    requires: { echo: { service: Echo } },
    setup: (context) => {
      client = context.client("echo");
    },
  });
  const served = await serve(plugin, { hostUrl, listen: "never" });
  return { ...served, client: client as Client<typeof Echo> };
}

test("dials behind the path of HOST_URL, before it registers", async () => {
  await using host = await FakeHost.create({ links: true });
  const url = await host.listenTcp();
  await using plugin = await serve(provider, { hostUrl: `${url}/_launch/n0nce` });
  expect(host.dialled).toEqual([{ target: "/_launch/n0nce/link/v1", runtimeId: plugin.running.runtimeId }]);
  expect(plugin.events.map(({ kind }) => kind)).toEqual(["listening", "identified", "link-open", "registered"]);
  expect(host.named("RegisterService").map(({ overLink }) => overLink)).toEqual([true]);
});

test("does not dial if told so, or if the host does not announce links", async () => {
  await using linking = await FakeHost.start({ links: true });
  await using off = await serve(provider, { hostUrl: linking.url, link: "off" });
  await using plain = await FakeHost.start();
  await using other = await serve(provider, { hostUrl: plain.url });
  expect(linking.dialled).toEqual([]);
  for (const { events } of [off, other]) {
    expect(events.map(({ kind }) => kind)).toEqual(["listening", "identified", "registered"]);
  }
});

test("stays on plain HTTP if what answers knows no links, such as a proxy in between", async () => {
  await using host = await FakeHost.start({ links: { refuse: 404 } });
  await using plugin = await serve(provider, { hostUrl: host.url, heartbeatMs: 5 });
  await host.until("ReportHealth", 4);
  expect(host.dialled.length).toBe(1);
  expect(host.calls.some(({ overLink }) => overLink)).toBe(false);
  expect(plugin.events.map(({ kind }) => kind)).toEqual(["listening", "identified", "link-failed", "registered"]);
});

test("tries again if the host has no room for a link now", async () => {
  await using host = await FakeHost.start({ links: { refuse: 503 } });
  await using _ = await serve(provider, { hostUrl: host.url });
  await host.untilTrue(() => host.dialled.length >= 3);
});

test("a link that breaks is dialled again, and everything is registered and watched again over it", async () => {
  await using host = await FakeHost.start({ links: true });
  await using caller = await serveCaller(host.url);
  await using plugin = await serve(provider, { hostUrl: host.url, listen: "never" });
  await caller.until("dependency");
  for (const session of [...host.links.values()]) session.close("broken", closeCode.internal);
  await Promise.all([caller.until("link-open", 2), plugin.until("registered", 2)]);
  await host.untilTrue(() => host.named("WatchService").length >= 2 && host.openWatches === 1);
  expect(host.named("RegisterService").map(({ overLink }) => overLink)).toEqual([true, true]);
  expect(await caller.client.say({ text: "hi" })).toMatchObject({ provider: "provider" });
  expect(host.named("Handshake").length).toBe(2);
});

test("a host that is killed and comes back without memory gets a new handshake, link and registration", async () => {
  await using host = await FakeHost.start({ links: true });
  // Long before the next sign of life it is the refused link that tells.
  await using plugin = await serve(provider, { hostUrl: host.url, listen: "never", heartbeatMs: 600_000 });
  await host.kill();
  host.forget();
  await plugin.until("link-lost");
  await host.listen();
  await plugin.until("registered", 2);
  expect(host.links.has(plugin.running.runtimeId ?? "")).toBe(true);
  expect(host.registrations.size).toBe(1);
});

test("a link that is revoked is not dialled again before there is a new identity", async () => {
  await using host = await FakeHost.start({ links: true });
  await using plugin = await serve(provider, { hostUrl: host.url, listen: "never" });
  const before = plugin.running.runtimeId ?? "";
  host.identities.delete(before);
  host.links.get(before)?.close("gone", closeCode.revoked);
  await plugin.until("registered", 2);
  expect(host.dialled.map(({ runtimeId }) => runtimeId)).toEqual([before, plugin.running.runtimeId]);
  expect(plugin.running.runtimeId).not.toBe(before);
});

test("a host that leaves in good order gets the calls in flight finished, and the next link at once", async () => {
  const begun = deferred();
  const go = deferred();
  const slow = definePlugin({
    id: "slow",
    version: "1.0.0",
    provides: { echo: { service: Echo } },
    setup: () => ({
      echo: {
        ...echoOnly("slow"),
        async say({ text }) {
          begun.resolve();
          await go.promise;
          return { text };
        },
      },
    }),
  });
  await using host = await FakeHost.start({ links: true });
  await using plugin = await serve(slow, { hostUrl: host.url, listen: "never" });
  await using caller = await serveCaller(host.url);
  const call = caller.client.say({ text: "late" });
  await begun.promise;
  for (const session of [...host.links.values()]) session.close("restart");
  await Promise.all([plugin.until("link-open", 2), caller.until("link-open", 2)]);
  go.resolve();
  expect(await call).toMatchObject({ text: "late" });
});

test("calls in flight on a link that breaks end as unavailable, with a hint to try again", async () => {
  const begun = deferred();
  const never = definePlugin({
    id: "never",
    version: "1.0.0",
    provides: { echo: { service: Echo } },
    setup: () => ({
      echo: {
        ...echoOnly("never"),
        say() {
          begun.resolve();
          return new Promise<never>(() => {});
        },
      },
    }),
  });
  await using host = await FakeHost.start({ links: true });
  await using _ = await serve(never, { hostUrl: host.url, listen: "never" });
  await using caller = await serveCaller(host.url);
  const failure = failureOf(caller.client.say({}));
  await begun.promise;
  host.links.get(caller.running.runtimeId ?? "")?.close("broken", closeCode.internal);
  const error = await failure;
  expect([error.code, error.metadata.get("retry-after")]).toEqual([Code.Unavailable, "1"]);
});

test("a call that its provider takes over HTTP only goes there that way by itself", async () => {
  const plain = definePlugin({
    id: "plain",
    version: "1.0.0",
    provides: { echo: { handler: "fetch", path: "/echo/" } },
    setup: () => ({
      echo: () => {
        const body = toBinary(SayResponseSchema, create(SayResponseSchema, { text: "over HTTP" }));
        return new Response(Buffer.from(body), { headers: { "content-type": "application/proto" } });
      },
    }),
  });
  await using host = await FakeHost.start({ links: true });
  await using _ = await serve(plain, { hostUrl: host.url });
  await using caller = await serveCaller(host.url);
  expect(await caller.client.say({})).toMatchObject({ text: "over HTTP" });
  expect(host.named("/services/echo/any/Say").map(({ overLink }) => overLink === true)).toEqual([true, false]);
});

test("a plugin without a port refuses to start at a host without links", async () => {
  await using host = await FakeHost.start();
  const served = serve(provider, { hostUrl: host.url, listen: "never" });
  await expect(served).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  await expect(served).rejects.toThrow(/listen.*takes no links/);
});

test("stopped, it takes its registrations back over the link and closes it in good order", async () => {
  await using host = await FakeHost.start({ links: true });
  const plugin = await serve(provider, { hostUrl: host.url, listen: "never" });
  await plugin.running.stop();
  expect(host.named("UnregisterService").map(({ overLink }) => overLink)).toEqual([true]);
  await host.untilTrue(() => host.links.size === 0);
  expect(plugin.events.map(({ kind }) => kind)).not.toContain("link-lost");
});

test("a host that ends every link at once is dialled with waits that grow", async () => {
  await using host = await FakeHost.start({ links: true });
  await using plugin = await serve(provider, {
    hostUrl: host.url,
    // The longest that a test waits for; a plugin that did not wait would be back far more often.
    backOff: { firstMs: 40, longestMs: 60_000, random: () => 0 },
    // However slow this machine is, no link seems to have stood for long.
    clock: { ...systemClock, monotonic: () => 0 },
  });
  for (let count = 1; count < 4; count++) {
    await host.untilTrue(() => host.dialled.length === count && host.links.size === 1);
    const begin = performance.now();
    for (const session of [...host.links.values()]) session.close("not today");
    await host.untilTrue(() => host.dialled.length === count + 1);
    // Half of what doubles each time.
    expect(performance.now() - begin).toBeGreaterThan(10 * 2 ** count - 5);
  }
  expect(plugin.running.runtimeId).toBeDefined();
});
