import { Code, ConnectError } from "@connectrpc/connect";
import { expect, onTestFinished, test } from "vitest";
import { ServiceRegistry, ServiceState, type WatchServiceEvent } from "../../src/gen/connectplugin/v1/registry_pb.js";
import { ContractHost, type Member, type ProtocolName, protocolNames } from "../support/contract-host.js";
import { within } from "../support/http-server.js";
import { manualClock } from "../support/manual-clock.js";

interface WatchOptions {
  readonly protocol?: ProtocolName;
  readonly serviceType?: string;
  readonly minVersion?: string;
  readonly resumeRevision?: string;
  readonly heartbeatIntervalMs?: number;
  readonly includeProviders?: boolean;
}

/** Opens a watch; `next` is its next event, undefined at its end. */
function watch({ host, headers }: Member, { protocol = "Connect", ...request }: WatchOptions = {}) {
  const end = new AbortController();
  onTestFinished(() => end.abort());
  const stream = host
    .client(ServiceRegistry, { protocol, headers })
    .watchService({ serviceType: "logger", ...request }, { signal: end.signal })
    [Symbol.asyncIterator]();
  const next = async (): Promise<WatchServiceEvent | undefined> => {
    const result = await within(5_000, "the next event of a watch", stream.next());
    return result.done === true ? undefined : result.value;
  };
  return { next, leave: () => end.abort() };
}

const stateOf = (event: WatchServiceEvent | undefined) => (event === undefined ? "end" : ServiceState[event.state]);

test.each(protocolNames)("in %s the state comes first, then each change of it, health included", async (protocol) => {
  await using host = await ContractHost.start();
  const [watcher, logger] = [await host.join("watcher"), await host.join("logger")];
  const { next } = watch(watcher, { protocol });
  const first = await next();
  expect(first).toMatchObject({ serviceType: "logger", state: ServiceState.UNAVAILABLE });
  expect(first?.endpoint).toBeUndefined();
  expect(first?.reason).not.toBe("");
  await logger.serve({ version: "1.2.3", metadata: { zone: "a" } });
  expect(await next()).toMatchObject({
    state: ServiceState.AVAILABLE,
    endpoint: {
      providerId: logger.runtimeId,
      version: "1.2.3",
      endpointUrl: `/services/logger/${logger.runtimeId}`,
      metadata: { zone: "a" },
    },
  });
  await logger.report("degraded", "slow disk");
  expect(await next()).toMatchObject({ state: ServiceState.DEGRADED, endpoint: { providerId: logger.runtimeId } });
  await logger.report("unhealthy", "no disk");
  const gone = await next();
  expect(stateOf(gone)).toBe("UNAVAILABLE");
  expect(gone?.endpoint).toBeUndefined();
  expect(gone?.reason).toContain("no disk");
});

test("a service that is there already comes first, at once", async () => {
  await using host = await ContractHost.start();
  const [watcher, logger] = [await host.join("watcher"), await host.join("logger")];
  await logger.serve();
  expect(stateOf(await watch(watcher).next())).toBe("AVAILABLE");
});

test("without a wish there are neither heartbeats nor providers, and nothing of other types", async () => {
  const clock = manualClock();
  await using host = await ContractHost.start({ clock });
  const [watcher, logger, replica] = [await host.join("watcher"), await host.join("logger"), await host.join("logger")];
  await logger.serve();
  const { next } = watch(watcher);
  await next();
  clock.advance(3_600_000);
  await replica.serve();
  await replica.serve({ serviceType: "other" });
  await logger.report("unhealthy");
  // The state of the type is the same throughout: the next event is that of the last provider's fall.
  await replica.report("unhealthy", "end");
  const events = [await next()];
  while (stateOf(events.at(-1)) === "AVAILABLE") events.push(await next());
  expect(events.every((event) => event?.heartbeat === false && event.providers.length === 0)).toBe(true);
  expect(events.at(-1)?.reason).toContain("end");
});

test("heartbeats come when nothing else does, at the interval asked for, and carry no state", async () => {
  const clock = manualClock();
  await using host = await ContractHost.start({ clock });
  const watcher = await host.join("watcher");
  const { next } = watch(watcher, { heartbeatIntervalMs: 2_500 });
  await next();
  expect(clock.delays()).toContain(2_500);
  const beat = next();
  clock.advance(2_500);
  expect(await beat).toMatchObject({ serviceType: "logger", heartbeat: true, state: ServiceState.UNSPECIFIED });
});

test("heartbeats more often than once a second come once a second", async () => {
  const clock = manualClock();
  await using host = await ContractHost.start({ clock });
  const { next } = watch(await host.join("watcher"), { heartbeatIntervalMs: 1 });
  await next();
  expect(clock.delays()).toContain(1_000);
  expect(clock.delays()).not.toContain(1);
});

test("min_version narrows what counts", async () => {
  await using host = await ContractHost.start();
  const [watcher, old, young] = [await host.join("watcher"), await host.join("logger"), await host.join("logger")];
  await old.serve({ version: "1.0.0" });
  const { next } = watch(watcher, { minVersion: "^2" });
  expect(stateOf(await next())).toBe("UNAVAILABLE");
  await young.serve({ version: "2.1.0" });
  expect(await next()).toMatchObject({ state: ServiceState.AVAILABLE, endpoint: { version: "2.1.0" } });
});

test("include_providers lists each provider with its state and reason", async () => {
  await using host = await ContractHost.start();
  const [watcher, one, two] = [await host.join("watcher"), await host.join("logger"), await host.join("logger")];
  await one.serve();
  await two.serve({ version: "2.0.0" });
  await two.report("degraded", "slow");
  const { next } = watch(watcher, { includeProviders: true });
  const first = await next();
  expect(first?.providers).toMatchObject([
    { endpoint: { providerId: one.runtimeId }, state: ServiceState.AVAILABLE },
    { endpoint: { providerId: two.runtimeId, version: "2.0.0" }, state: ServiceState.DEGRADED, reason: "slow" },
  ]);
  await two.report("unhealthy", "dead");
  const second = await next();
  expect(second?.state).toBe(ServiceState.AVAILABLE);
  expect(second?.providers[1]).toMatchObject({ state: ServiceState.UNAVAILABLE, reason: "dead" });
});

test("resume_revision leaves out what was seen, and nothing else", async () => {
  await using host = await ContractHost.start();
  const [watcher, logger] = [await host.join("watcher"), await host.join("logger")];
  await logger.serve();
  const { revision } = (await watch(watcher).next()) ?? {};
  expect(revision).toMatch(/^[0-9a-f]+:\d+$/);
  const resumed = watch(watcher, { resumeRevision: revision ?? "" });
  const change = resumed.next();
  await logger.report("degraded");
  expect(stateOf(await change)).toBe("DEGRADED");
  // What changed while nobody watched comes at once.
  expect(stateOf(await watch(watcher, { resumeRevision: revision ?? "" }).next())).toBe("DEGRADED");
});

test.each(["other-epoch:5", "nonsense", ":", "x:99999999999999999999"])(
  "a revision that this host never gave (%s) is answered with the whole state",
  async (resumeRevision) => {
    await using host = await ContractHost.start();
    expect(stateOf(await watch(await host.join("watcher"), { resumeRevision }).next())).toBe("UNAVAILABLE");
  },
);

test.each([
  { request: { serviceType: "9" }, field: "service_type" },
  { request: { serviceType: "" }, field: "service_type" },
  { request: { minVersion: "new" }, field: "min_version" },
])("a watch of $request is refused and names $field", async ({ request, field }) => {
  await using host = await ContractHost.start();
  const error = await watch(await host.join("watcher"), request)
    .next()
    .catch((reason: unknown) => ConnectError.from(reason));
  expect(error).toMatchObject({
    code: Code.InvalidArgument,
    rawMessage: expect.stringMatching(new RegExp(`^${field} `)),
  });
});

test("a watch ends by itself when its caller is removed", async () => {
  await using host = await ContractHost.start();
  const [watcher, logger] = [await host.join("watcher"), await host.join("logger")];
  await logger.serve();
  await watcher.serve({ serviceType: "watching" });
  const { next } = watch(watcher);
  await next();
  const end = next();
  await host.platform.removePlugin(watcher.runtimeId);
  expect(await end).toBeUndefined();
  expect(host.platform.registry.openWatches).toBe(0);
});

test("a watch ends when the host stops", async () => {
  await using host = await ContractHost.start();
  const { next } = watch(await host.join("watcher"));
  await next();
  const end = next().catch(() => undefined);
  await host.platform.stop();
  expect(await end).toBeUndefined();
});

test.each(["Connect", "gRPC"] as const)("a watcher in %s that goes away leaves nothing behind", async (protocol) => {
  await using host = await ContractHost.start();
  const [watcher, logger] = [await host.join("watcher"), await host.join("logger")];
  const { next, leave } = watch(watcher, { protocol });
  await next();
  expect(host.platform.registry.openWatches).toBe(1);
  leave();
  await next().catch(() => undefined);
  // The host hears of it with the next packets; each change of state lets it look again.
  for (let count = 0; count < 1_000 && host.platform.registry.openWatches > 0; count++) await logger.report("healthy");
  expect(host.platform.registry.openWatches).toBe(0);
});

test("a plugin has as many watches as it may, and another one when one has ended", async () => {
  await using host = await ContractHost.start({ maxWatchesPerPlugin: 2 });
  const [greedy, other] = [await host.join("greedy"), await host.join("other")];
  const first = watch(greedy);
  const second = watch(greedy);
  await first.next();
  await second.next();
  const refused = await watch(greedy)
    .next()
    .catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: Code.ResourceExhausted });
  expect((refused as ConnectError).message).toContain("2 watches open");
  expect(await watch(other).next()).toMatchObject({ serviceType: "logger" });
  first.leave();
  // The host hears of it a moment later.
  const again = async (): Promise<unknown> => {
    for (;;) {
      const event = await watch(greedy)
        .next()
        .catch(() => undefined);
      if (event !== undefined) return event;
    }
  };
  expect(await within(5_000, "the next watch", again())).toMatchObject({ serviceType: "logger" });
});
