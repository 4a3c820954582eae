import type { PluginPhase, PluginRecord, Registration } from "../../src/model/catalog.js";
import type { HealthState } from "../../src/model/health.js";
import { Catalog } from "../../src/registry/catalog.js";

/** A plugin record for tests: healthy and serving unless told otherwise. */
export function pluginRecord(
  runtimeId: string,
  state: HealthState = "healthy",
  reason = "",
  phase: PluginPhase = { kind: "serving" },
): PluginRecord {
  return {
    runtimeId,
    selfId: runtimeId,
    selfVersion: "1.0.0",
    origin: "endpoint",
    address: sampleAddress,
    requires: [],
    metadata: {},
    phase,
    health: { state, cause: "reported", reason, since: 0, unavailableDependencies: [] },
    startedAt: 0,
  };
}

const sampleAddress = { kind: "external" } as const;

/** A registration for tests, whose id is made of what it registers. */
export const registrationOf = (
  runtimeId: string,
  type: string,
  version = "1.0.0",
  metadata: Readonly<Record<string, string>> = {},
): Registration => ({
  registrationId: `reg-${runtimeId}-${type}-${version}`,
  runtimeId,
  type,
  version,
  path: "/",
  metadata,
  registeredAt: 0,
});

/** A catalog with these plugins, each of which registers `type` in the given versions. */
export function catalogWith(
  plugins: readonly { record: PluginRecord; versions?: readonly string[]; metadata?: Record<string, string> }[],
  type = "logger",
): Catalog {
  const catalog = new Catalog({ epoch: "e1" });
  catalog.apply(
    plugins.flatMap(({ record, versions = ["1.0.0"], metadata }) => [
      { kind: "plugin-put" as const, plugin: record },
      ...versions.map((version) => ({
        kind: "registration-put" as const,
        registration: registrationOf(record.runtimeId, type, version, metadata),
      })),
    ]),
  );
  return catalog;
}
