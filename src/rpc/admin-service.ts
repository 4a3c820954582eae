import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { invalid, PluginHostError } from "../errors.js";
import type { PlatformService } from "../gen/connectplugin/admin/v1/platform_pb.js";
import type { PluginDeclaration } from "../model/declarations.js";
import {
  type AdminPlugin,
  type AdminSource,
  fromWireDeclaration,
  fromWireDuration,
  fromWireSource,
  toWireDetails,
  toWirePlugin,
} from "./admin-wire.js";
import { callerOf } from "./caller.js";

/** A plugin to start. */
export interface AdminSpec {
  readonly source: AdminSource;
  readonly declares: PluginDeclaration | undefined;
  readonly timeoutMs: number | undefined;
  /** Aborted when the caller goes away. */
  readonly signal: AbortSignal;
}

interface AdminImpact {
  readonly affectedServices: readonly string[];
  readonly affectedPlugins: readonly string[];
  readonly optionalImpact: readonly string[];
}

/** An operation to think through. */
export type AdminPlan =
  | { readonly kind: "add"; readonly declaration: PluginDeclaration }
  | { readonly kind: "remove"; readonly runtimeId: string }
  | { readonly kind: "replace"; readonly runtimeId: string; readonly declaration: PluginDeclaration };

/** One service type as operators see it. */
export interface AdminServiceListing {
  readonly type: string;
  readonly strategy: string;
  readonly providers: readonly {
    readonly runtimeId: string;
    readonly version: string;
    readonly path: string;
    readonly state: string;
    readonly reason: string;
  }[];
}

/** One event as operators see it. */
export interface AdminEvent {
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly details: object;
  /** Events that were dropped before this one. */
  readonly dropped: number;
}

/** What the admin service works on. */
export interface AdminPort {
  addPlugin(spec: AdminSpec): Promise<AdminPlugin>;
  replacePlugin(runtimeId: string, spec: AdminSpec & { readonly allowMissingServices: boolean }): Promise<AdminPlugin>;
  removePlugin(runtimeId: string, reason: string, graceMs: number | undefined): Promise<AdminImpact>;
  releasePlugin(runtimeId: string): Promise<AdminPlugin>;
  plugin(runtimeId: string): AdminPlugin;
  plugins(): readonly AdminPlugin[];
  services(): readonly AdminServiceListing[];
  startupLevels(): readonly (readonly string[])[];
  impact(runtimeId: string): AdminImpact;
  plan(operation: AdminPlan): { steps: readonly string[]; impact: AdminImpact; problems: readonly string[] };
  setSelectionStrategy(type: string, strategy: string): void;
  events(names: readonly string[], signal: AbortSignal): AsyncIterable<AdminEvent>;
}

/** @throws PluginHostError `UNAUTHENTICATED` for everybody but operators */
function requireAdmin(context: HandlerContext): void {
  const { authentication } = callerOf(context);
  if (authentication.kind === "principal" && authentication.principal.kind === "admin") return;
  const why = authentication.kind === "refused" ? `${authentication.reason}; ` : "";
  throw new PluginHostError(
    "UNAUTHENTICATED",
    `${why}this call needs the admin token as Authorization: Bearer <token>`,
  );
}

const copyImpact = ({ affectedServices, affectedPlugins, optionalImpact }: AdminImpact) => ({
  affectedServices: [...affectedServices],
  affectedPlugins: [...affectedPlugins],
  optionalImpact: [...optionalImpact],
});

/** `connectplugin.admin.v1.PlatformService`. */
export const adminRpc = (port: AdminPort): ServiceImpl<typeof PlatformService> => ({
  async addPlugin({ source, declares, timeout }, context) {
    requireAdmin(context);
    const plugin = await port.addPlugin({
      source: fromWireSource(source),
      declares: fromWireDeclaration(declares),
      timeoutMs: fromWireDuration("timeout", timeout),
      signal: context.signal,
    });
    return { plugin: toWirePlugin(plugin) };
  },
  async replacePlugin({ runtimeId, source, declares, timeout, allowMissingServices }, context) {
    requireAdmin(context);
    const plugin = await port.replacePlugin(runtimeId, {
      source: fromWireSource(source),
      declares: fromWireDeclaration(declares),
      timeoutMs: fromWireDuration("timeout", timeout),
      signal: context.signal,
      allowMissingServices,
    });
    return { plugin: toWirePlugin(plugin) };
  },
  async removePlugin({ runtimeId, reason, gracePeriod }, context) {
    requireAdmin(context);
    const graceMs = fromWireDuration("grace_period", gracePeriod);
    return { impact: copyImpact(await port.removePlugin(runtimeId, reason, graceMs)) };
  },
  async releasePlugin({ runtimeId }, context) {
    requireAdmin(context);
    return { plugin: toWirePlugin(await port.releasePlugin(runtimeId)) };
  },
  getPlugin({ runtimeId }, context) {
    requireAdmin(context);
    return { plugin: toWirePlugin(port.plugin(runtimeId)) };
  },
  listPlugins(_request, context) {
    requireAdmin(context);
    return { plugins: port.plugins().map(toWirePlugin) };
  },
  listServices(_request, context) {
    requireAdmin(context);
    const services = port.services().map(({ type, strategy, providers }) => ({
      type,
      strategy,
      providers: providers.map((provider) => ({ ...provider })),
    }));
    return { services };
  },
  getStartupOrder(_request, context) {
    requireAdmin(context);
    const levels = port.startupLevels().map((runtimeIds) => ({ runtimeIds: [...runtimeIds] }));
    return { runtimeIds: levels.flatMap(({ runtimeIds }) => runtimeIds), levels };
  },
  getImpact({ runtimeId }, context) {
    requireAdmin(context);
    return copyImpact(port.impact(runtimeId));
  },
  plan({ operation }, context) {
    requireAdmin(context);
    const { steps, impact, problems } = port.plan(planned(operation));
    return { steps: [...steps], impact: copyImpact(impact), problems: [...problems] };
  },
  setSelectionStrategy({ serviceType, strategy }, context) {
    requireAdmin(context);
    port.setSelectionStrategy(serviceType, strategy);
    return {};
  },
  async *watchEvents({ names }, context) {
    requireAdmin(context);
    for await (const { name, at, details, dropped } of port.events(names, context.signal)) {
      yield { name, time: timestampFromMs(at), details: toWireDetails(details), dropped: BigInt(dropped) };
    }
  },
});

type WireOperation = Parameters<ServiceImpl<typeof PlatformService>["plan"]>[0]["operation"];

/** @throws PluginHostError `INVALID_ARGUMENT` */
function planned(operation: WireOperation): AdminPlan {
  switch (operation.case) {
    case "add": {
      const declaration = fromWireDeclaration(operation.value);
      if (declaration !== undefined) return { kind: "add", declaration };
      break;
    }
    case "remove":
      return { kind: "remove", runtimeId: operation.value };
    case "replace": {
      const declaration = fromWireDeclaration(operation.value.declares);
      if (declaration === undefined) throw invalid("replace.declares", "must say what the new plugin is");
      return { kind: "replace", runtimeId: operation.value.runtimeId, declaration };
    }
  }
  throw invalid("operation", "must be one of add, remove and replace");
}
