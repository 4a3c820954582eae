import type { Clock } from "./internal/clock.js";
import { type Deferred, deferred } from "./internal/deferred.js";
import type { Emitter, Unsubscribe } from "./internal/emitter.js";
import type { PlatformEvents } from "./model/platform-events.js";

/** One event of a platform, with its name and time. */
export interface NamedEvent {
  readonly name: keyof PlatformEvents;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly details: object;
  /** Events that were dropped before this one, because the reader is slow. */
  readonly dropped: number;
}

/** Names of all events. The `satisfies` keeps the list complete. */
export const eventNames = Object.keys({
  "plugin-added": true,
  "plugin-removed": true,
  "plugin-replaced": true,
  health: true,
  registered: true,
  unregistered: true,
  step: true,
  output: true,
  call: true,
  changed: true,
  warning: true,
} satisfies Record<keyof PlatformEvents, true>) as readonly (keyof PlatformEvents)[];

const maxWaiting = 1_000;

/** Everything of these names that happens from the call on, in order. A slow reader loses the oldest and is told how many. */
export function streamEvents(
  events: Emitter<PlatformEvents>,
  names: readonly (keyof PlatformEvents)[],
  clock: Clock,
  signal: AbortSignal,
): AsyncIterable<NamedEvent> {
  const waiting: NamedEvent[] = [];
  let dropped = 0;
  let wake: Deferred<void> | undefined;
  // From here on, so that nothing falls between the call and the first read.
  const unsubscribe: Unsubscribe[] = names.map((name) =>
    events.on(name, (details) => {
      if (waiting.length >= maxWaiting) {
        dropped += 1 + (waiting.shift()?.dropped ?? 0);
      }
      waiting.push({ name, at: clock.now(), details, dropped: 0 });
      wake?.resolve();
    }),
  );
  const stop = (): void => wake?.resolve();
  signal.addEventListener("abort", stop, { once: true });
  return (async function* () {
    try {
      while (!signal.aborted) {
        const next = waiting.shift();
        if (next === undefined) {
          wake = deferred();
          await wake.promise;
          continue;
        }
        const lost = dropped;
        dropped = 0;
        yield lost === 0 ? next : { ...next, dropped: lost };
      }
    } finally {
      signal.removeEventListener("abort", stop);
      for (const off of unsubscribe) off();
    }
  })();
}
