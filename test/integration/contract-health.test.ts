import { Code, ConnectError } from "@connectrpc/connect";
import { expect, onTestFinished, test } from "vitest";
import { HealthService, ServingStatus } from "../../src/gen/connectplugin/health/v1/health_pb.js";
import { ServiceRegistry } from "../../src/gen/connectplugin/v1/registry_pb.js";
import { HealthCheckResponse_ServingStatus as GrpcStatus, Health } from "../../src/gen/grpc/health/v1/health_pb.js";
import { ContractHost, protocolNames } from "../support/contract-host.js";
import { within } from "../support/http-server.js";

const statuses = [
  { service: "", own: ServingStatus.SERVING, grpc: GrpcStatus.SERVING },
  { service: "logger", own: ServingStatus.SERVING, grpc: GrpcStatus.SERVING },
  { service: "sick", own: ServingStatus.NOT_SERVING, grpc: GrpcStatus.NOT_SERVING },
];

async function started() {
  const host = await ContractHost.start();
  const logger = await host.join("logger");
  await logger.serve();
  const sick = await host.join("sick");
  await sick.serve({ serviceType: "sick" });
  await sick.report("unhealthy");
  return { host, logger };
}

test.each(protocolNames)(
  "both health services answer for the host and for service types in %s, to anybody",
  async (protocol) => {
    const { host } = await started();
    await using _ = host;
    const own = host.client(HealthService, { protocol });
    const grpc = host.client(Health, { protocol });
    for (const { service, own: wanted, grpc: wantedGrpc } of statuses) {
      expect((await own.check({ service })).status, service).toBe(wanted);
      expect((await grpc.check({ service })).status, service).toBe(wantedGrpc);
    }
    expect((await own.check({ service: "nobody" })).status).toBe(ServingStatus.SERVICE_UNKNOWN);
    const unknown = await grpc.check({ service: "nobody" }).catch((error: unknown) => ConnectError.from(error));
    expect(unknown).toMatchObject({ code: Code.NotFound });
  },
);

test("watching health tells the state and each change of it, also of a type that comes later", async () => {
  const { host, logger } = await started();
  await using _ = host;
  const end = new AbortController();
  onTestFinished(() => end.abort());
  const open = (service: string) => {
    const own = host.client(HealthService).watch({ service }, { signal: end.signal })[Symbol.asyncIterator]();
    const grpc = host.client(Health).watch({ service }, { signal: end.signal })[Symbol.asyncIterator]();
    return async () => [
      (await within(5_000, "health", own.next())).value?.status,
      (await within(5_000, "health", grpc.next())).value?.status,
    ];
  };
  const next = open("logger");
  expect(await next()).toEqual([ServingStatus.SERVING, GrpcStatus.SERVING]);
  await logger.report("degraded");
  await logger.report("unhealthy");
  // Degraded serves, too: there is no event for it.
  expect(await next()).toEqual([ServingStatus.NOT_SERVING, GrpcStatus.NOT_SERVING]);
  const late = open("late");
  expect(await late()).toEqual([ServingStatus.SERVICE_UNKNOWN, GrpcStatus.SERVICE_UNKNOWN]);
  await logger.serve({ serviceType: "late" });
  expect(await late()).toEqual([ServingStatus.SERVING, GrpcStatus.SERVING]);
});

test("watches of health are limited like all watches: a plugin's are counted with its others, and those of others by address", async () => {
  await using host = await ContractHost.start({ maxWatchesPerPlugin: 2 });
  const member = await host.join("watcher");
  const end = new AbortController();
  onTestFinished(() => end.abort());
  /** Opens a watch; what comes of it: its first state, or the code. */
  const open = async (
    headers: Record<string, string>,
    service: typeof HealthService | typeof Health,
    signal = end.signal,
  ) => {
    const watch = host.client(service as typeof HealthService, { headers }).watch({ service: "" }, { signal });
    const first = within(5_000, "the first state", watch[Symbol.asyncIterator]().next());
    return first.then(
      ({ value }) => value?.status,
      (error: unknown) => ConnectError.from(error).code,
    );
  };
  const stop = new AbortController();
  expect(await open({}, HealthService, stop.signal)).toBe(ServingStatus.SERVING);
  expect(await open({}, Health)).toBe(GrpcStatus.SERVING);
  expect(await open({}, Health)).toBe(Code.ResourceExhausted);
  const own = member.headers as Record<string, string>;
  expect(await open(own, HealthService)).toBe(ServingStatus.SERVING);
  const registry = host.client(ServiceRegistry, { headers: own });
  const services = registry.watchService({ serviceType: "logger" }, { signal: end.signal })[Symbol.asyncIterator]();
  await within(5_000, "the first view", services.next());
  expect(await open(own, HealthService)).toBe(Code.ResourceExhausted);
  // Who closes one may open another. The host hears of it a little later.
  stop.abort();
  let last: unknown = Code.ResourceExhausted;
  for (let tries = 0; tries < 50 && last === Code.ResourceExhausted; tries++) last = await open({}, HealthService);
  expect(last).toBe(ServingStatus.SERVING);
});

test("watching the host's own health ends with not serving when the host stops", async () => {
  await using host = await ContractHost.start();
  const seen: (ServingStatus | undefined)[] = [];
  const stream = host.client(HealthService, { protocol: "gRPC" }).watch({})[Symbol.asyncIterator]();
  seen.push((await stream.next()).value?.status);
  const last = stream.next();
  await host.platform.stop();
  seen.push((await within(5_000, "the last state", last)).value?.status);
  expect(seen).toEqual([ServingStatus.SERVING, ServingStatus.NOT_SERVING]);
});

test("looking at the health of a type does not move the turn of those who call it", async () => {
  await using host = await ContractHost.start();
  const [one, two] = [await host.join("logger"), await host.join("logger")];
  await one.serve();
  await two.serve();
  host.platform.registry.setSelectionStrategy("logger", "round-robin");
  const ids: string[] = [];
  for (let count = 0; count < 4; count++) {
    ids.push((await one.discover("logger")).body.endpoint.providerId);
    await host.client(HealthService).check({ service: "logger" });
  }
  expect(ids).toEqual([one.runtimeId, two.runtimeId, one.runtimeId, two.runtimeId]);
});
