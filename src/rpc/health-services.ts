import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { type HealthService, ServingStatus } from "../gen/connectplugin/health/v1/health_pb.js";
import { HealthCheckResponse_ServingStatus as GrpcStatus, type Health } from "../gen/grpc/health/v1/health_pb.js";
import type { ServiceRegistry } from "../registry/service-registry.js";
import { type Caller, callerOf } from "./caller.js";

/** `serving`, `not-serving`, or `unknown` for a service type that nobody provides. */
export type ServingState = "serving" | "not-serving" | "unknown";

/** What the health services look at. */
export interface HealthPort {
  readonly registry: ServiceRegistry;
  /** A watch was opened; the result closes it again. Throws `LIMIT_REACHED`. */
  watchOpened(caller: string): () => void;
  /** Whether the host itself takes calls. */
  isServing(): boolean;
  /** Aborted when the host stops. */
  readonly stopped: AbortSignal;
}

function check(port: HealthPort, service: string): ServingState {
  if (service === "") return port.isServing() ? "serving" : "not-serving";
  // Looking must not move the turn of those who choose.
  const result = port.registry.find(service, { strategyOverride: "first" });
  if (result.kind === "found") return "serving";
  return result.code === "NO_PROVIDER" || result.code === "INVALID_ARGUMENT" ? "unknown" : "not-serving";
}

/** Whose watches are counted together: those of a plugin, and of others those from one address. */
function watcherOf({ authentication, connection }: Caller): string {
  if (authentication.kind === "principal" && authentication.principal.kind === "plugin")
    return authentication.principal.runtimeId;
  // A name that no runtime id has.
  return connection.remoteAddress === "" ? "who calls from this machine" : `who calls from ${connection.remoteAddress}`;
}

/** The state now and each change of it. The name of the host itself is the empty text. */
async function* watch(port: HealthPort, service: string, context: HandlerContext): AsyncGenerator<ServingState> {
  const { signal } = context;
  const watchClosed = port.watchOpened(watcherOf(callerOf(context)));
  const end = new AbortController();
  const stop = (): void => end.abort();
  if (signal.aborted || port.stopped.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  port.stopped.addEventListener("abort", stop, { once: true });
  try {
    let last: ServingState | undefined;
    // The host itself changes only when it stops, which ends the watch: a type that nobody has never changes before.
    for await (const _ of port.registry.watch(service, { signal: end.signal })) {
      const now = check(port, service);
      if (now === last) continue;
      last = now;
      yield now;
    }
    if (service === "" && port.stopped.aborted) yield "not-serving";
  } finally {
    watchClosed();
    signal.removeEventListener("abort", stop);
    port.stopped.removeEventListener("abort", stop);
  }
}

const pluginStatus = {
  serving: ServingStatus.SERVING,
  "not-serving": ServingStatus.NOT_SERVING,
  unknown: ServingStatus.SERVICE_UNKNOWN,
} as const satisfies Record<ServingState, ServingStatus>;

/** `connectplugin.health.v1.HealthService`: the host's own health, and that of service types. Open to everybody. */
export const healthRpc = (port: HealthPort): ServiceImpl<typeof HealthService> => ({
  check: ({ service }) => ({ status: pluginStatus[check(port, service)] }),
  async *watch({ service }, context) {
    for await (const state of watch(port, service, context)) yield { status: pluginStatus[state] };
  },
});

const grpcStatus = {
  serving: GrpcStatus.SERVING,
  "not-serving": GrpcStatus.NOT_SERVING,
  unknown: GrpcStatus.SERVICE_UNKNOWN,
} as const satisfies Record<ServingState, GrpcStatus>;

/** `grpc.health.v1.Health` of the gRPC health checking protocol. Open to everybody. */
export const grpcHealthRpc = (port: HealthPort): ServiceImpl<typeof Health> => ({
  check({ service }) {
    const state = check(port, service);
    // The protocol wants an error here, and a status only in Watch.
    if (state === "unknown") throw new ConnectError(`unknown service ${JSON.stringify(service)}`, Code.NotFound);
    return { status: grpcStatus[state] };
  },
  async *watch({ service }, context) {
    for await (const state of watch(port, service, context)) yield { status: grpcStatus[state] };
  },
});
