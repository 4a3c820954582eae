import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import {
  ServiceState,
  type WatchServiceEvent,
  type WatchServiceRequest,
  WatchServiceRequestSchema,
} from "../../../src/gen/connectplugin/v1/registry_pb.js";
import { wireFormsOf } from "../../../src/http/shared-message.js";
import { ServiceRegistry } from "../../../src/registry/service-registry.js";
import { type RegistryPort, registryRpc } from "../../../src/rpc/registry-service.js";
import { catalogWith, pluginRecord } from "../../support/catalog-samples.js";
import { manualClock } from "../../support/manual-clock.js";
import { rpcContext } from "../../support/rpc-context.js";

function open() {
  const catalog = catalogWith([{ record: pluginRecord("a") }]);
  const registry = new ServiceRegistry(catalog);
  const port = {
    registry,
    clock: manualClock(),
    watchOpened: () => () => {},
    goneSignal: () => new AbortController().signal,
    revision: () => catalog.revision,
  } as unknown as RegistryPort;
  const service = registryRpc(port);
  const watch = (given: MessageInitShape<typeof WatchServiceRequestSchema> = {}) => {
    const request: WatchServiceRequest = create(WatchServiceRequestSchema, { serviceType: "logger", ...given });
    const caller = { kind: "plugin", runtimeId: "watcher-1", selfId: "watcher" } as const;
    const events = service.watchService(request, rpcContext(caller))[Symbol.asyncIterator]();
    return async () => (await events.next()).value as WatchServiceEvent;
  };
  return { catalog, registry, watch };
}

test("everybody who watches the same gets the same event, so that its bytes are made once", async () => {
  const { catalog, registry, watch } = open();
  const watchers = [watch(), watch(), watch({ heartbeatIntervalMs: 5_000 })];
  for (const state of [ServiceState.AVAILABLE, ServiceState.UNAVAILABLE]) {
    const [first, ...others] = await Promise.all(watchers.map((next) => next()));
    expect(first?.state).toBe(state);
    expect(first && wireFormsOf(first)).toBeDefined();
    for (const other of others) expect(other).toBe(first);
    catalog.apply([{ kind: "plugin-put", plugin: pluginRecord("a", "unhealthy") }]);
  }
  registry.close();
});

test("who asks for something else gets an event of his own", async () => {
  const { registry, watch } = open();
  const [any, ranged, listed] = await Promise.all(
    [watch(), watch({ minVersion: "^2" }), watch({ includeProviders: true })].map((next) => next()),
  );
  expect([any?.state, ranged?.state]).toEqual([ServiceState.AVAILABLE, ServiceState.UNAVAILABLE]);
  expect([any?.providers.length, listed?.providers.length]).toEqual([0, 1]);
  registry.close();
});
