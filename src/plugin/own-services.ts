import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { PluginHostError } from "../errors.js";
import { HealthService, ServingStatus } from "../gen/connectplugin/health/v1/health_pb.js";
import { PluginControl } from "../gen/connectplugin/v1/control_pb.js";
import { PluginIdentity, type SetRuntimeIdentityRequest } from "../gen/connectplugin/v1/identity_pb.js";
import { LatestChannel } from "../internal/latest-channel.js";
import { type OwnHealth, type OwnHealthReport, toWireHealth } from "./own-health.js";
import type { ResolvedDefinition } from "./resolve-definition.js";
import { toWireDeclaration } from "./wire-declaration.js";

/** What a plugin's own services do. */
export interface OwnServicesOptions {
  readonly definition: ResolvedDefinition;
  readonly health: OwnHealth;
  /** Aborted when the plugin begins to stop. */
  readonly signal: AbortSignal;
  /** Whether calls to the plugin's port are refused without the host's secret. */
  readonly checksHostSecret: () => boolean;
  /** Takes an identity. May throw a PluginHostError, which is an invalid argument, or a ConnectError. */
  readonly onIdentity: (request: SetRuntimeIdentityRequest) => void;
  /** Asked to stop. Returns at once, and lets the answer out before it closes connections. */
  readonly onShutdown: (graceSeconds: number, reason: string) => void;
}

/** Adds what every plugin answers: PluginIdentity, PluginControl and connectplugin.health.v1. */
export function addOwnServices(router: ConnectRouter, options: OwnServicesOptions): void {
  const { definition, health } = options;
  router.service(PluginIdentity, {
    getPluginInfo: () => ({
      selfId: definition.id,
      selfVersion: definition.version,
      ...toWireDeclaration(definition),
      complete: true,
      metadata: { ...definition.metadata },
    }),
    setRuntimeIdentity: (request) => {
      if (request.runtimeId === "" || request.runtimeToken === "") {
        throw new ConnectError("runtime_id and runtime_token must not be empty", Code.InvalidArgument);
      }
      try {
        options.onIdentity(request);
      } catch (error) {
        if (!(error instanceof PluginHostError)) throw error;
        throw new ConnectError(error.message, Code.InvalidArgument);
      }
      return { acknowledged: true, checksHostSecret: options.checksHostSecret() };
    },
  });
  router.service(PluginControl, {
    getHealth: () => toWireHealth(health.current),
    shutdown: ({ gracePeriodSeconds, reason }) => {
      options.onShutdown(Math.max(0, gracePeriodSeconds), reason);
      return { acknowledged: true };
    },
  });
  router.service(HealthService, {
    check: ({ service }) => {
      if (!isKnown(definition, service))
        throw new ConnectError(`unknown service ${JSON.stringify(service)}`, Code.NotFound);
      return { status: statusOf(health.current) };
    },
    async *watch({ service }, { signal }) {
      if (!isKnown(definition, service)) return yield { status: ServingStatus.SERVICE_UNKNOWN };
      const changes = new LatestChannel<"status", OwnHealthReport>();
      const unsubscribe = health.onChange((report) => changes.put("status", report));
      const end = (): void => changes.abort();
      for (const ended of [signal, options.signal]) ended.addEventListener("abort", end, { once: true });
      try {
        changes.put("status", health.current);
        for await (const report of changes) yield { status: statusOf(report) };
      } finally {
        unsubscribe();
        options.signal.removeEventListener("abort", end);
      }
    },
  });
}

const statusOf = ({ state }: OwnHealthReport): ServingStatus =>
  state === "unhealthy" ? ServingStatus.NOT_SERVING : ServingStatus.SERVING;

/** The empty name is the plugin as a whole. */
const isKnown = ({ provides }: ResolvedDefinition, name: string): boolean =>
  name === "" ||
  provides.some(({ type, kind }) => type === name || (kind.name === "connect" && kind.service.typeName === name));
