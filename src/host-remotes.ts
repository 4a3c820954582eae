import { describePlugin } from "./describe-plugin.js";
import type { HostLinks } from "./host-links.js";
import type { OpenRemote, PluginRemote } from "./lifecycle/plugin-remote.js";
import type { StartSpec } from "./lifecycle/start-spec.js";
import { hostFeatures, linkFeature } from "./link/host-features.js";
import type { RuntimeId } from "./model/catalog.js";
import type { PluginDeclaration } from "./model/declarations.js";
import type { ResolvedOptions } from "./options.js";
import type { UpstreamTls } from "./router/upstream-tls.js";
import { openLinkRemote } from "./rpc/link-remote.js";
import type { RemoteOptions } from "./rpc/plugin-calls.js";
import { isReachable, openPluginRemote } from "./rpc/plugin-remote.js";

/** What the host's own questions to plugins need of the rest of it. */
export interface HostRemotesParts {
  readonly options: Pick<ResolvedOptions, "magicCookie" | "appProtocolVersion" | "link" | "clock">;
  /** Certificates towards plugins that were added without some of their own. */
  readonly tls: () => UpstreamTls;
  readonly links: () => Pick<HostLinks, "launched" | "sessionOf">;
  /** Whether anything takes requests to upgrade now, so that a plugin can dial a link. */
  readonly canBeDialled: () => boolean;
}

/** How the host asks plugins what only it asks, and what it says of itself then. */
export class HostRemotes {
  readonly #parts: HostRemotesParts;

  constructor(parts: HostRemotesParts) {
    this.#parts = parts;
  }

  readonly open: OpenRemote = (address, hostSecret) => {
    if (address.kind === "worker") {
      return openLinkRemote(this.#parts.links().launched.sessionOf(address.launchId), this.#options(true));
    }
    if (!isReachable(address)) throw new Error("a plugin without an address cannot be asked");
    const options = this.#options(address.kind === "module");
    return openPluginRemote(address, hostSecret === undefined ? options : { ...options, hostSecret });
  };

  /** Undefined if the plugin has no link that is open now. */
  overLink(runtimeId: RuntimeId): PluginRemote | undefined {
    const session = this.#parts.links().sessionOf(runtimeId);
    return session === undefined ? undefined : openLinkRemote(session, this.#options(false));
  }

  /** What a plugin says of itself before it is added; undefined if it cannot say. */
  describe(spec: StartSpec, signal?: AbortSignal): Promise<PluginDeclaration | undefined> {
    return describePlugin(spec, this.#parts.options.clock, this.#options(false), signal);
  }

  /** What this host can do beyond the first protocol. A link is for plugins that can dial it. */
  features(inProcess: boolean): readonly string[] {
    const { options, canBeDialled } = this.#parts;
    const features = Object.values(hostFeatures);
    return !inProcess && canBeDialled() && options.link !== undefined ? [...features, linkFeature] : features;
  }

  #options(inProcess: boolean): RemoteOptions {
    const { magicCookie, appProtocolVersion } = this.#parts.options;
    const cookie = { magicCookieKey: magicCookie.key, magicCookieValue: magicCookie.value };
    return { ...cookie, appProtocolVersion, tls: this.#parts.tls(), features: () => this.features(inProcess) };
  }
}
