import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { invalid } from "../errors.js";
import {
  type DiscoverServiceResponse,
  DiscoverServiceResponseSchema,
  ServiceState,
  type WatchServiceEvent,
  WatchServiceEventSchema,
  type ServiceRegistry as WireRegistry,
} from "../gen/connectplugin/v1/registry_pb.js";
import { shareMessage } from "../http/shared-message.js";
import type { Clock } from "../internal/clock.js";
import type { Registration, Revision } from "../model/catalog.js";
import { formatRevision, parseRevision } from "../model/catalog.js";
import { checkName, shown } from "../model/limits.js";
import { compileVersionRange } from "../model/versions.js";
import type { Provider } from "../registry/provider.js";
import type { ServiceRegistry } from "../registry/service-registry.js";
import type { AggregateState, ServiceView } from "../registry/service-view.js";
import { callerOf, callingPlugin } from "./caller.js";
import { isHealthPath } from "./health-path.js";
import { withHeartbeats } from "./heartbeats.js";

/** Heartbeats that are wanted more often come this often. */
const shortestHeartbeatMs = 1_000;

/** What registering and discovering works on. */
export interface RegistryPort {
  readonly registry: ServiceRegistry;
  readonly clock: Clock;
  register(
    runtimeId: string,
    service: {
      readonly type: string;
      readonly version: string;
      readonly path: string;
      readonly metadata: Readonly<Record<string, string>>;
    },
    peerAddress: string,
  ): Registration;
  unregister(runtimeId: string, registrationId: string): void;
  /** The plugin asked for a provider of `type`. */
  discovered(runtimeId: string, type: string): void;
  /** The plugin opened a watch of `type`; the result closes it again. Throws `LIMIT_REACHED`. */
  watchOpened(runtimeId: string, type: string): () => void;
  /** Aborted when the plugin is removed. */
  goneSignal(runtimeId: string): AbortSignal;
  /** The revision that the caller's view is taken at. */
  revision(): Revision;
}

/** `connectplugin.v1.ServiceRegistry`. Every call needs the identity of the plugin that it acts for. */
export function registryRpc(port: RegistryPort): ServiceImpl<typeof WireRegistry> {
  // Everybody who watches the same gets the same view, so that it is turned into bytes only once.
  const events = new WeakMap<ServiceView, WatchServiceEvent>();
  const eventOf = (view: ServiceView): WatchServiceEvent => {
    const known = events.get(view);
    if (known !== undefined) return known;
    const event = shareMessage(create(WatchServiceEventSchema, toEvent(view)));
    events.set(view, event);
    return event;
  };
  return implementation(port, eventOf, discoverAnswers());
}

/** Answers to `DiscoverService`, which are the same for all who are given the same provider. */
function discoverAnswers(): (provider: Provider, singleProvider: boolean) => DiscoverServiceResponse {
  const single = new WeakMap<Registration, DiscoverServiceResponse>();
  const oneOfSeveral = new WeakMap<Registration, DiscoverServiceResponse>();
  return (provider, singleProvider) => {
    const answers = singleProvider ? single : oneOfSeveral;
    const known = answers.get(provider.registration);
    if (known !== undefined) return known;
    const endpoint = toEndpoint(provider);
    const answer = shareMessage(create(DiscoverServiceResponseSchema, { endpoint, singleProvider }));
    answers.set(provider.registration, answer);
    return answer;
  };
}

const implementation = (
  port: RegistryPort,
  eventOf: (view: ServiceView) => WatchServiceEvent,
  discoverAnswer: (provider: Provider, singleProvider: boolean) => DiscoverServiceResponse,
): ServiceImpl<typeof WireRegistry> => ({
  registerService(request, context) {
    const { runtimeId } = callingPlugin(context);
    const { serviceType: type, version, endpointPath: path, metadata } = request;
    checkHealthPath("metadata.health_path", metadata.health_path);
    const { remoteAddress } = callerOf(context).connection;
    return {
      registrationId: port.register(runtimeId, { type, version, path, metadata }, remoteAddress).registrationId,
    };
  },

  unregisterService(request, context) {
    port.unregister(callingPlugin(context).runtimeId, request.registrationId);
    return {};
  },

  discoverService(request, context) {
    const { runtimeId } = callingPlugin(context);
    const { minVersion } = request;
    const type = checkName("service_type", request.serviceType);
    compileVersionRange("min_version", minVersion);
    port.discovered(runtimeId, type);
    const provider = port.registry.discover(type, { minVersion, callerId: runtimeId });
    return discoverAnswer(provider, port.registry.isSingleProvider(type, minVersion));
  },

  async *watchService(request, context) {
    const { runtimeId } = callingPlugin(context);
    const type = checkName("service_type", request.serviceType);
    compileVersionRange("min_version", request.minVersion);
    const wanted = request.heartbeatIntervalMs;
    const heartbeatMs = wanted === 0 ? 0 : Math.max(shortestHeartbeatMs, wanted);
    const watchClosed = port.watchOpened(runtimeId, type);
    const end = new AbortController();
    const stop = (): void => end.abort();
    const gone = port.goneSignal(runtimeId);
    if (gone.aborted || context.signal.aborted) stop();
    gone.addEventListener("abort", stop, { once: true });
    context.signal.addEventListener("abort", stop, { once: true });
    try {
      const views = port.registry.watch(type, {
        minVersion: request.minVersion,
        includeProviders: request.includeProviders,
        resumeRevision: parseRevision(request.resumeRevision),
        signal: end.signal,
      });
      if (heartbeatMs === 0) {
        for await (const view of views) yield eventOf(view);
        return;
      }
      for await (const view of withHeartbeats(views, port.clock, heartbeatMs, end.signal)) {
        if (view !== "heartbeat") yield eventOf(view);
        else yield { serviceType: type, heartbeat: true, revision: formatRevision(port.revision()) };
      }
    } finally {
      gone.removeEventListener("abort", stop);
      context.signal.removeEventListener("abort", stop);
      watchClosed();
    }
  },
});

/** A path that is no path would be found out by the first poll only, which has nobody to tell. */
function checkHealthPath(field: string, path: string | undefined): void {
  if (path === undefined || path === "" || isHealthPath(path)) return;
  throw invalid(field, `must begin with "/" and be escaped, got ${shown(path)}`);
}

const toEndpoint = ({ registration }: Provider) => ({
  providerId: registration.runtimeId,
  version: registration.version,
  endpointUrl: `/services/${registration.type}/${registration.runtimeId}`,
  metadata: { ...registration.metadata },
});

const wireStates = {
  available: ServiceState.AVAILABLE,
  degraded: ServiceState.DEGRADED,
  unavailable: ServiceState.UNAVAILABLE,
} as const satisfies Record<AggregateState, ServiceState>;

function toEvent(view: ServiceView) {
  return {
    serviceType: view.type,
    state: wireStates[view.state],
    revision: formatRevision(view.revision),
    reason: view.reason,
    ...(view.provider === undefined ? undefined : { endpoint: toEndpoint(view.provider) }),
    providers: (view.providers ?? []).map(({ provider, state, reason }) => ({
      endpoint: toEndpoint(provider),
      state:
        state === "healthy"
          ? ServiceState.AVAILABLE
          : state === "degraded"
            ? ServiceState.DEGRADED
            : ServiceState.UNAVAILABLE,
      reason,
    })),
  };
}
