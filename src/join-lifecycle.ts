import { HealthMonitor } from "./health/health-monitor.js";
import type { HostRemotes } from "./host-remotes.js";
import type { HostServer } from "./host-server.js";
import type { IdentityStore } from "./identity/identity-store.js";
import type { Emitter } from "./internal/emitter.js";
import type { Dependencies, LifecyclePorts } from "./lifecycle/ports.js";
import type { RuntimeId } from "./model/catalog.js";
import type { PlatformEvents } from "./model/platform-events.js";
import type { ResolvedOptions } from "./options.js";
import type { Catalog } from "./registry/catalog.js";
import type { ServiceRouter } from "./router/router.js";

/** The parts of a host that its lifecycle meets. */
export interface LifecycleJoints {
  readonly options: ResolvedOptions;
  readonly catalog: Catalog;
  readonly identities: IdentityStore;
  readonly dependencies: Dependencies;
  readonly remotes: HostRemotes;
  readonly events: Emitter<PlatformEvents>;
  readonly inFlightChanged: (runtimeId: RuntimeId) => void;
  /** Both are made after the lifecycle, and there before the first plugin. */
  readonly server: () => HostServer;
  readonly router: () => ServiceRouter;
}

/** What the lifecycle needs of the rest of a host. */
export function joinLifecycle({ options, events, remotes, ...joints }: LifecycleJoints): LifecyclePorts {
  const { clock, health } = options;
  return {
    clock,
    state: joints.catalog,
    identities: joints.identities,
    dependencies: joints.dependencies,
    openRemote: remotes.open,
    remoteOverLink: (runtimeId) => remotes.overLink(runtimeId),
    monitorHealth: (onChange) => new HealthMonitor({ ...health, clock, onChange }),
    hostUrlFor: (address) => joints.server().urlFor(address),
    closeConnections: (address) => joints.router().closeConnections(address),
    inFlightChanged: joints.inFlightChanged,
    emit: (name, event) => events.emit(name, event),
  };
}
