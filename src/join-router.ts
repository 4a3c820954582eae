import type { HostLinks } from "./host-links.js";
import { createRouterView, createTrafficObserver, type HostViewParts } from "./host-view.js";
import type { Emitter } from "./internal/emitter.js";
import { TokenBuckets } from "./internal/token-bucket.js";
import type { PlatformEvents } from "./model/platform-events.js";
import { ServiceRouter } from "./router/router.js";

/** The parts of a host that its router meets. */
export interface RouterJoints extends Omit<HostViewParts, "rates"> {
  readonly links: HostLinks;
  readonly events: Emitter<PlatformEvents>;
}

/** The router of a host, joined to what it asks and tells. */
export function joinRouter({ links, events, ...parts }: RouterJoints): ServiceRouter {
  const { callerRate, clock, router } = parts.options;
  const rates = callerRate === undefined ? undefined : new TokenBuckets(callerRate, () => clock.monotonic());
  const view = { ...parts, rates };
  return new ServiceRouter({
    view: createRouterView(view),
    traffic: createTrafficObserver(view),
    links,
    clock,
    onCall: (event) => events.emit("call", event),
    isHeard: () => events.has("call"),
    ...(router === undefined ? undefined : { options: router }),
  });
}
