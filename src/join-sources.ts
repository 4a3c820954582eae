import type { HostLinks } from "./host-links.js";
import type { HostRemotes } from "./host-remotes.js";
import type { HostServer } from "./host-server.js";
import type { IdentityStore } from "./identity/identity-store.js";
import { createInProcessHost } from "./in-process-host.js";
import { InheritedFiles } from "./launch/inherited-files.js";
import type { LaunchNonces } from "./launch/launch-nonces.js";
import type { LaunchState } from "./launch/launch-state.js";
import { ProcessPorts } from "./launch/process-ports.js";
import { MessagePortTransport } from "./link/message-port-transport.js";
import type { ResolvedOptions } from "./options.js";
import type { SourceContext } from "./plugin-source.js";
import type { ServiceRouter } from "./router/router.js";

/** The parts of a host that what it launches meets. */
export interface SourceJoints {
  readonly options: ResolvedOptions;
  readonly server: HostServer;
  readonly identities: IdentityStore;
  readonly router: ServiceRouter;
  readonly links: HostLinks;
  readonly remotes: HostRemotes;
  readonly nonces: LaunchNonces;
  readonly launchState: LaunchState | undefined;
}

/** What plugins are launched with, joined to the host that they call. */
export function joinSources({ options, server, links, remotes, ...joints }: SourceJoints): SourceContext {
  const { clock, limits, supervision } = options;
  return {
    limits,
    restart: supervision.restart,
    hostUrl: () => server.url() ?? "http://host.invalid",
    connectHost: () => server.connect(),
    inProcess: createInProcessHost(joints.identities, joints.router),
    workers: {
      clock,
      environment: process.env,
      openLink: (port) => links.launched.open(new MessagePortTransport(port)),
    },
    processes: {
      clock,
      nonces: joints.nonces,
      ports: new ProcessPorts(),
      inherited: new InheritedFiles(),
      hostUrlFor: (address) => server.urlFor(address),
      environment: process.env,
      hostCa: () => server.ca,
      hostFeatures: () => remotes.features(false),
      state: joints.launchState,
    },
  };
}
