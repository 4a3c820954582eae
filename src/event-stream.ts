import type { Clock } from "./internal/clock.js";
import { type Deferred, deferred } from "./internal/deferred.js";
import type { Emitter, Unsubscribe } from "./internal/emitter.js";
import type { PlatformEvents } from "./model/platform-events.js";

/** One event of a platform, with its name and time. */
export interface NamedEvent {
  /** `watching` comes once, before all others: everything that happens after it is told. */
  readonly name: keyof PlatformEvents | "watching";
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
  supervision: true,
  registered: true,
  unregistered: true,
  step: true,
  output: true,
  call: true,
  changed: true,
  warning: true,
} satisfies Record<keyof PlatformEvents, true>) as readonly (keyof PlatformEvents)[];

const maxWaiting = 1_000;

/** When a stream of events ends. */
export interface EventStreamEnds {
  /** The reader is gone: what waits for it is dropped. */
  readonly gone: AbortSignal;
  /** Nothing will happen any more: what waits is read before the end. */
  readonly over: AbortSignal;
}

/**
 * Everything of these names that happens from the call on, in order, after one event that says that watching has begun.
 * A slow reader loses the oldest and is told how many.
 */
export function streamEvents(
  events: Emitter<PlatformEvents>,
  names: readonly (keyof PlatformEvents)[],
  clock: Clock,
  { gone, over }: EventStreamEnds,
): AsyncIterable<NamedEvent> {
  const waiting: NamedEvent[] = [{ name: "watching", at: clock.now(), details: { names }, dropped: 0 }];
  let dropped = 0;
  let wake: Deferred<void> | undefined;
  // From here on, so that nothing falls between the call and the first read.
  const unsubscribe: Unsubscribe[] = [...new Set(names)].map((name) =>
    events.on(name, (details) => {
      if (waiting.length >= maxWaiting) {
        waiting.shift();
        dropped += 1;
      }
      waiting.push({ name, at: clock.now(), details, dropped: 0 });
      wake?.resolve();
    }),
  );
  const stop = (): void => {
    for (const off of unsubscribe) off();
    for (const signal of [gone, over]) signal.removeEventListener("abort", stop);
    wake?.resolve();
  };
  // A generator that is never read never comes to its `finally`, so the signals take the listeners off, too.
  for (const signal of [gone, over]) {
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  }
  return (async function* () {
    try {
      while (!gone.aborted) {
        const next = waiting.shift();
        if (next !== undefined) {
          const lost = dropped;
          dropped = 0;
          yield lost === 0 ? next : { ...next, dropped: lost };
          continue;
        }
        if (over.aborted) return;
        wake = deferred();
        await wake.promise;
      }
    } finally {
      stop();
    }
  })();
}
