import { DependencyGraph } from "../../src/graph/dependency-graph.js";
import { projectGraph } from "../../src/graph-projection.js";
import { HealthMonitor } from "../../src/health/health-monitor.js";
import { IdentityStore } from "../../src/identity/identity-store.js";
import { endpointLauncher } from "../../src/launch/endpoint-launcher.js";
import { Lifecycle } from "../../src/lifecycle/lifecycle.js";
import type { StepLimits } from "../../src/lifecycle/limits.js";
import { PluginDirectory } from "../../src/lifecycle/plugin-directory.js";
import type { PluginRemote } from "../../src/lifecycle/plugin-remote.js";
import type { LifecyclePorts } from "../../src/lifecycle/ports.js";
import { SelfRegistration } from "../../src/lifecycle/self-registration.js";
import { parseBaseUrl } from "../../src/model/base-url.js";
import type { PluginDeclaration } from "../../src/model/declarations.js";
import type { PlatformEvents } from "../../src/model/platform-events.js";
import { Catalog } from "../../src/registry/catalog.js";
import { conditions } from "./conditions.js";
import { manualClock } from "./manual-clock.js";

export const benchLimits: StepLimits = Object.freeze({
  describeMs: 1_000,
  connectGraceMs: 100,
  identifyMs: 1_000,
  healthMs: 1_000,
  graceMs: 1_000,
  drainMs: 1_000,
  shutdownMs: 1_000,
});

export const declaration = (changes: Partial<PluginDeclaration> = {}): PluginDeclaration => ({
  selfId: "echo",
  selfVersion: "1.0.0",
  provides: [{ type: "echo", version: "1.0.0", path: "/echo/" }],
  requires: [],
  metadata: {},
  ...changes,
});

/** A plugin's answers, without a network. */
export const remoteOf = (answers: Partial<PluginRemote> = {}): PluginRemote => ({
  getPluginInfo: async () => declaration(),
  handshake: async () => "unimplemented",
  setRuntimeIdentity: async () => "accepted",
  getHealth: async () => ({ verdict: "healthy", reason: "", unavailableDependencies: [] }),
  connect: async () => {},
  getStatus: async () => 200,
  shutdown: async () => "acknowledged",
  close: () => {},
  ...answers,
});

/** The lifecycle over a real catalog, graph and identity store, with a clock by hand and plugins that are functions. */
export function lifecycleBench(remote: () => PluginRemote = remoteOf) {
  const clock = manualClock();
  const catalog = new Catalog({ epoch: "test" });
  const graph = new DependencyGraph();
  projectGraph(catalog, graph);
  const identities = new IdentityStore({ clock, tokenTtlMs: 1e9, tokenOverlapMs: 1e6, maxIdentities: 100 });
  const events: { readonly name: keyof PlatformEvents; readonly event: unknown }[] = [];
  const { look, until } = conditions();
  const health = {
    clock,
    intervalMs: 1_000,
    timeoutMs: 100,
    retryMs: 50,
    startGraceMs: 0,
    fallThreshold: 1,
    riseThreshold: 1,
    ejectAfterFailures: 5,
    ejectMs: 100,
    maxEjectMs: 100,
  };
  const ports: LifecyclePorts = {
    clock,
    state: catalog,
    identities,
    dependencies: {
      impact: (id) => graph.impact(id),
      cycleWith: (node) => graph.cycleWith([node])?.names,
      missingAfterReplace: (id, provides) => graph.missingAfterReplace(id, provides),
      problemWith: (dependency, except) => {
        if (graph.unmet([dependency]).length > 0) return "nobody provides it";
        const isUp = catalog.providersOf(dependency.type).some(({ plugin: { runtimeId, health } }) => {
          return runtimeId !== except && health.state !== "unhealthy";
        });
        return isUp ? undefined : "nobody who provides it is healthy";
      },
    },
    openRemote: () => remote(),
    remoteOverLink: () => undefined,
    monitorHealth: (onChange) => new HealthMonitor({ ...health, onChange }),
    hostUrlFor: () => "http://host",
    closeConnections: () => {},
    inFlightChanged: () => {},
    emit: (name, event) => {
      events.push({ name, event });
      look();
    },
  };
  const directory = new PluginDirectory({
    ports,
    aliasLifeMs: 10_000,
    maxRegistrationsPerPlugin: 10,
    permissions: "declared",
  });
  const selfRegistration = new SelfRegistration({
    ports,
    directory,
    permissions: "declared",
    baseUrlRefusal: () => undefined,
  });
  // Half of chance, so that a back-off of 1,000 ms takes 750.
  const lifecycle = new Lifecycle({ ports, directory, selfRegistration }, () => 0.5);
  catalog.subscribe(({ touchedTypes }) => lifecycle.typesChanged(touchedTypes));
  return {
    clock,
    catalog,
    graph,
    identities,
    events,
    ports,
    directory,
    selfRegistration,
    lifecycle,
    /** Resolves when the condition holds, looked at now and after each event. */
    until,
    add: (url: string) =>
      lifecycle.add(
        { launcher: endpointLauncher(parseBaseUrl("endpoint", url)), declares: undefined, limits: benchLimits },
        undefined,
      ),
    join: (baseUrl = "", selfId = "echo") => selfRegistration.join(selfId, "1.0.0", baseUrl, "127.0.0.1"),
    register: (runtimeId: string, baseUrl: string | undefined, path = "/echo/", type = "echo") =>
      selfRegistration.register(
        runtimeId,
        { type, version: "1.0.0", path, metadata: baseUrl === undefined ? {} : { base_url: baseUrl } },
        "127.0.0.1",
      ),
  };
}
