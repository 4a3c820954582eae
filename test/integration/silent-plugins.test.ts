import { expect, onTestFinished, test } from "vitest";
import { CapabilityBroker } from "../../src/gen/connectplugin/v1/broker_pb.js";
import { ServiceRegistry } from "../../src/gen/connectplugin/v1/registry_pb.js";
import { ContractHost, type Member, PlainProvider } from "../support/contract-host.js";
import { within } from "../support/http-server.js";
import { manualClock } from "../support/manual-clock.js";

const hideSilentAfterMs = 10_000;

async function start() {
  const clock = manualClock();
  const host = await ContractHost.start({
    clock,
    hideSilentAfterMs,
    capabilities: [{ type: "mirror", version: "1.0.0", fetch: () => new Response("seen") }],
  });
  onTestFinished(() => host[Symbol.asyncDispose]());
  const events: string[] = [];
  host.platform.on("plugin-added", ({ plugin }) => events.push(`+${plugin.selfId}`));
  host.platform.on("plugin-removed", ({ plugin }) => events.push(`-${plugin.selfId}`));
  const shown = () => host.platform.plugins().map(({ selfId }) => selfId);
  return { clock, host, events, shown };
}

const joined = async (host: ContractHost, selfId: string): Promise<Member> => {
  const member = await host.join(selfId);
  await member.discover("logger");
  return member;
};

test("a consumer that falls silent is not shown any more, and its next call shows it again", async () => {
  const { clock, host, events, shown } = await start();
  const app = await joined(host, "app");
  expect(shown()).toEqual(["app"]);
  clock.advance(hideSilentAfterMs - 1_000);
  expect(shown()).toEqual(["app"]);
  clock.advance(4_000);
  expect(shown()).toEqual([]);
  expect(host.platform.getStartupOrder()).toEqual([]);
  expect(() => host.platform.plugin(app.runtimeId)).toThrow(/no plugin has the runtime id/);
  await app.discover("logger");
  expect(shown()).toEqual(["app"]);
  expect(host.platform.getStartupOrder()).toEqual([app.runtimeId]);
  expect(events).toEqual(["+app", "-app", "+app"]);
});

test("who calls now and then, watches something, offers something or has an address is shown all the time", async () => {
  const { clock, host, events, shown } = await start();
  await using provider = await PlainProvider.start();
  const busy = await joined(host, "busy");
  const watcher = await joined(host, "watcher");
  const offering = await host.join("offering");
  await offering.register({ serviceType: "nowhere" });
  const reachable = await host.join("reachable");
  await reachable.register({ metadata: { base_url: provider.url } });
  const end = new AbortController();
  onTestFinished(() => end.abort());
  const watch = host
    .client(ServiceRegistry, { headers: watcher.headers })
    .watchService({ serviceType: "logger" }, { signal: end.signal })
    [Symbol.asyncIterator]();
  await within(5_000, "the first view", watch.next());
  for (let round = 0; round < 8; round++) {
    clock.advance(hideSilentAfterMs / 2);
    await busy.discover("logger");
  }
  expect(shown()).toEqual(["busy", "watcher", "offering", "reachable"]);
  expect(events.filter((event) => event.startsWith("-"))).toEqual([]);
});

test("a consumer that is out of sight keeps its token and its grants, until its token expires", async () => {
  const { clock, host, shown } = await start();
  const app = await joined(host, "app");
  const broker = host.client(CapabilityBroker, { headers: app.headers });
  const { grant } = await broker.requestCapability({ capabilityType: "mirror" });
  clock.advance(2 * hideSilentAfterMs);
  expect(shown()).toEqual([]);
  const headers = { authorization: `Bearer ${grant?.bearerToken}` };
  expect((await fetch(`${grant?.endpointUrl}/x`, { headers })).status).toBe(200);
  clock.advance(24 * 3_600_000);
  expect((await app.discover("logger")).code).toBe("unauthenticated");
  expect((await fetch(`${grant?.endpointUrl}/x`, { headers })).status).toBe(401);
});
