import type { JsonObject, JsonValue, MessageInitShape } from "@bufbuild/protobuf";
import { type Duration, durationMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { invalid } from "../errors.js";
import type {
  PluginSchema,
  PluginSupervisionSchema,
  PluginTrafficSchema,
  PluginDeclaration as WireDeclaration,
  PluginSource as WireSource,
} from "../gen/connectplugin/admin/v1/platform_pb.js";
import type { PluginDeclaration, ServiceDeclaration, ServiceDependency } from "../model/declarations.js";
import type { TrafficState } from "../model/health.js";
import type { Supervision } from "../model/supervision.js";
import { fromDeclaration } from "./wire-declaration.js";

/** Where a plugin comes from, as operators say it. */
export type AdminSource =
  | { readonly kind: "endpoint"; readonly url: string }
  | {
      readonly kind: "process";
      readonly command: readonly string[];
      readonly env: Readonly<Record<string, string>>;
      readonly cwd: string;
    }
  | { readonly kind: "module"; readonly specifier: string; readonly worker: boolean };

/** A plugin as operators see it. */
export interface AdminPlugin {
  readonly runtimeId: string;
  readonly selfId: string;
  readonly selfVersion: string;
  readonly origin: string;
  readonly state: string;
  readonly health: string;
  readonly reason: string;
  readonly provides: readonly ServiceDeclaration[];
  readonly requires: readonly ServiceDependency[];
  readonly endpointUrl: string | undefined;
  readonly pid?: number | undefined;
  /** Milliseconds since 1970. */
  readonly startTime: number;
  readonly inFlight: number;
  readonly waiting: number;
  readonly link: boolean;
  readonly traffic: TrafficState;
  readonly supervision: Supervision;
  readonly importance: string | undefined;
}

/** @throws PluginHostError `INVALID_ARGUMENT` */
export function fromWireSource(source: WireSource | undefined): AdminSource {
  switch (source?.source.case) {
    case "endpoint":
      return { kind: "endpoint", url: source.source.value.url };
    case "process": {
      const { command, env, cwd } = source.source.value;
      if (command.length === 0) throw invalid("source.process.command", "must name a program");
      return { kind: "process", command, env, cwd };
    }
    case "module": {
      const { specifier, worker } = source.source.value;
      if (specifier === "") throw invalid("source.module.specifier", "must not be empty");
      return { kind: "module", specifier, worker };
    }
    default:
      throw invalid("source", "must be one of endpoint, process and module");
  }
}

/** What was declared over the wire; undefined if nothing was. Not checked yet. */
export function fromWireDeclaration(declares: WireDeclaration | undefined): PluginDeclaration | undefined {
  if (declares === undefined) return undefined;
  return fromDeclaration(declares.selfId, declares.selfVersion, declares);
}

/** Milliseconds of a duration that was given. @throws PluginHostError `INVALID_ARGUMENT` */
export function fromWireDuration(field: string, duration: Duration | undefined): number | undefined {
  if (duration === undefined) return undefined;
  const ms = durationMs(duration);
  if (ms < 0) throw invalid(field, `must not be negative, got ${ms} ms`);
  return ms;
}

/** A plugin for the wire. */
export const toWirePlugin = (plugin: AdminPlugin): MessageInitShape<typeof PluginSchema> => ({
  runtimeId: plugin.runtimeId,
  selfId: plugin.selfId,
  selfVersion: plugin.selfVersion,
  origin: plugin.origin,
  state: plugin.state,
  health: plugin.health,
  reason: plugin.reason,
  provides: plugin.provides.map(({ type, version, path }) => ({ type, version, path })),
  requires: plugin.requires.map(({ type, minVersion, required, watch, methods = [], source }) => ({
    type,
    minVersion,
    requiredForStartup: required,
    watchForChanges: watch,
    methods: [...methods],
    observed: source === "observed",
  })),
  endpointUrl: plugin.endpointUrl ?? "",
  startTime: timestampFromMs(plugin.startTime),
  inFlight: plugin.inFlight,
  waiting: plugin.waiting,
  link: plugin.link,
  traffic: toWireTraffic(plugin.traffic),
  supervision: toWireSupervision(plugin.supervision),
  importance: plugin.importance ?? "",
  ...(plugin.pid === undefined ? undefined : { pid: plugin.pid }),
});

const toWireTraffic = (traffic: TrafficState): MessageInitShape<typeof PluginTrafficSchema> => ({
  state: traffic.kind,
  failures: traffic.kind === "passing" ? traffic.failures : 0,
  ejections: traffic.kind === "passing" ? 0 : traffic.ejections,
  ...(traffic.kind === "ejected" ? { until: timestampFromMs(traffic.until) } : undefined),
});

function toWireSupervision(supervision: Supervision): MessageInitShape<typeof PluginSupervisionSchema> {
  const state = supervision.kind;
  switch (supervision.kind) {
    case "unsupervised":
      return { state };
    case "running":
      return { state, attempt: supervision.restarts };
    case "restarting": {
      const { attempt, nextAt, lastError } = supervision;
      return { state, attempt, nextAt: timestampFromMs(nextAt), lastError };
    }
    case "starting":
      return { state, attempt: supervision.attempt, lastError: supervision.lastError };
    case "quarantined": {
      const { crashes, since, lastError } = supervision;
      return { state, crashes, since: timestampFromMs(since), lastError };
    }
    case "ended":
      return { state, since: timestampFromMs(supervision.since), lastError: supervision.lastError };
  }
}

/** What belongs to an event, without what JSON cannot say: errors become their message and code, functions vanish. */
export function toWireDetails(event: object): JsonObject {
  const value: JsonValue = JSON.parse(
    JSON.stringify(event, (_key, part: unknown) => {
      if (part instanceof Error)
        return { message: part.message, ...("code" in part ? { code: String(part.code) } : {}) };
      return typeof part === "bigint" ? part.toString() : part;
    }),
  );
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
}
