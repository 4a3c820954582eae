import { HostLinks } from "./host-links.js";
import type { ServerExchange } from "./http/exchange.js";
import { resolveServerLimits } from "./http/server-limits.js";
import type { IdentityStore } from "./identity/identity-store.js";
import type { Lifecycle } from "./lifecycle/lifecycle.js";
import type { PluginDirectory } from "./lifecycle/plugin-directory.js";
import type { SelfRegistration } from "./lifecycle/self-registration.js";
import { type ResolvedLinkOptions, resolveLink } from "./link-options.js";
import type { ResolvedOptions } from "./options.js";
import type { ServiceRouter } from "./router/router.js";

/** The parts of a host that its links meet. */
export interface LinkJoints {
  readonly options: ResolvedOptions;
  readonly identities: IdentityStore;
  readonly directory: PluginDirectory;
  readonly lifecycle: Lifecycle;
  readonly selfRegistration: SelfRegistration;
  /** Made after the links, and there before the first call. */
  readonly router: () => ServiceRouter;
  readonly handle: (exchange: ServerExchange) => Promise<void>;
  readonly warn: (message: string, error: unknown) => void;
}

/** The links to a host, joined to what takes their calls. Those of workers are there when plugins may not dial any, too. */
export function joinLinks({ options, identities, directory, ...joints }: LinkJoints): HostLinks {
  const { link = resolveLink() as ResolvedLinkOptions, server, clock } = options;
  return new HostLinks({
    clock,
    options: link,
    headLimits: resolveServerLimits(server),
    identityOf: (runtimeId) => identities.get(runtimeId),
    goneSignal: (runtimeId) => directory.get(runtimeId)?.gone,
    changed: (runtimeId, isOpen) => {
      const plugin = directory.get(runtimeId);
      if (plugin === undefined) return;
      directory.linkChanged(plugin, isOpen);
      if (isOpen) joints.selfRegistration.linked(plugin);
    },
    proveAlive: (runtimeId) => identities.proveAlive(runtimeId),
    isStopping: () => joints.lifecycle.isStopping,
    takeCall: (stream, by) => joints.router().takeLinkCall(stream, by),
    handle: joints.handle,
    onError: (error) => joints.warn("a call over a link failed inside the host", error),
  });
}
