// A catalog and a registry without the rest of a host.
import { Catalog } from "../../dist/registry/catalog.js";
import { ServiceRegistry } from "../../dist/registry/service-registry.js";

export const pluginRecord = (runtimeId, state = "healthy") => ({
  runtimeId,
  selfId: runtimeId,
  selfVersion: "1.0.0",
  origin: "endpoint",
  address: { kind: "http", url: "http://127.0.0.1:1", protocols: undefined },
  requires: [],
  metadata: {},
  phase: { kind: "serving" },
  health: { state, reason: "", cause: "polled", since: 0, unavailableDependencies: [] },
  startedAt: 0,
});

export const registration = (registrationId, runtimeId, type) => ({
  registrationId,
  runtimeId,
  type,
  version: "1.0.0",
  path: "/",
  metadata: {},
  registeredAt: 0,
});

export function emptyRegistry() {
  const catalog = new Catalog({ epoch: "bench" });
  return { catalog, registry: new ServiceRegistry(catalog) };
}

/** A registry with one type, `echo`, and so many providers of it. */
export function registryWith(providers) {
  const both = emptyRegistry();
  for (let index = 0; index < providers; index++) {
    const plugin = pluginRecord(`echo-${index}`);
    both.catalog.apply([
      { kind: "plugin-put", plugin },
      { kind: "registration-put", registration: registration(`reg-${index}`, plugin.runtimeId, "echo") },
    ]);
  }
  return both;
}
