import type { Clock } from "../internal/clock.js";
import type { CallEvent } from "../model/call-event.js";
import type { DecideOptions } from "./decide.js";
import type { ResolvedRouterOptions } from "./options.js";
import type { ProviderConnections } from "./provider-connections.js";
import type { ProviderLinks } from "./provider-links.js";
import type { RouterView, TrafficObserver } from "./router-view.js";
import type { TimeoutQueue } from "./timeout-queue.js";
import type { TraceIds } from "./trace-context.js";

/** What all calls of a router share. */
export interface ForwardContext {
  readonly view: RouterView;
  readonly traffic: TrafficObserver;
  readonly clock: Clock;
  readonly options: ResolvedRouterOptions;
  readonly decideOptions: DecideOptions;
  readonly connections: ProviderConnections;
  /** Chosen before `connections` where there is one. */
  readonly links: ProviderLinks;
  /** Calls that wait for a provider's head. */
  readonly headTimeouts: TimeoutQueue;
  /** Looks after streams on which nothing moves; undefined if that has no limit. */
  readonly idleStreams: TimeoutQueue | undefined;
  readonly traceIds: TraceIds;
  readonly onCall: (event: CallEvent) => void;
}
