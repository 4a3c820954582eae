import { type Platform, type PlatformEvents, PluginHostError } from "../index.js";
import { failed, until } from "./expectation.js";

/** One event of a platform, with its name. */
export type RecordedEvent = {
  [Name in keyof PlatformEvents]: { readonly name: Name; readonly event: PlatformEvents[Name] };
}[keyof PlatformEvents];

// A new event does not compile until it is here, so that no wait overlooks it.
const eventNames = Object.keys({
  "plugin-added": true,
  "plugin-removed": true,
  "plugin-replaced": true,
  health: true,
  supervision: true,
  registered: true,
  unregistered: true,
  step: true,
  call: true,
  output: true,
  changed: true,
  warning: true,
} satisfies Record<keyof PlatformEvents, true>) as (keyof PlatformEvents)[];

/** Settings of an {@link EventJournal}. */
export interface EventJournalOptions {
  readonly waitMs: number;
  /** Whether each warning is a failure unless it was allowed. */
  readonly failOnWarnings: boolean;
}

/** Everything that a platform tells, in its order, and waiting for what it will tell. */
export class EventJournal {
  readonly events: RecordedEvent[] = [];
  readonly #options: EventJournalOptions;
  readonly #allowed: RegExp[] = [];
  readonly #waiting = new Set<{ readonly check: () => void; readonly fail: (error: Error) => void }>();

  constructor(platform: Platform, options: EventJournalOptions) {
    this.#options = options;
    for (const name of eventNames) platform.on(name, (event) => this.#record({ name, event } as RecordedEvent));
  }

  eventsOf<Name extends keyof PlatformEvents>(name: Name): readonly PlatformEvents[Name][] {
    return this.events.filter((entry) => entry.name === name).map(({ event }) => event as PlatformEvents[Name]);
  }

  /** How often the visible state has changed. */
  get revision(): number {
    return this.eventsOf("changed").at(-1)?.revision.number ?? 0;
  }

  get failOnWarnings(): boolean {
    return this.#options.failOnWarnings;
  }

  allowWarning(pattern: RegExp): void {
    this.#allowed.push(pattern);
  }

  /** Texts of the warnings that nobody allowed. */
  unexpectedWarnings(): readonly string[] {
    return this.eventsOf("warning")
      .map(textOf)
      .filter((text) => !this.#allowed.some((pattern) => pattern.test(text)));
  }

  async next<Name extends keyof PlatformEvents>(
    name: Name,
    fits: (event: PlatformEvents[Name]) => boolean,
  ): Promise<PlatformEvents[Name]> {
    let seen = this.events.length;
    let found: PlatformEvents[Name] | undefined;
    const isThere = (): boolean => {
      for (; found === undefined && seen < this.events.length; seen += 1) {
        const entry = this.events[seen] as RecordedEvent;
        const event = entry.event as PlatformEvents[Name];
        if (entry.name === name && fits(event)) found = event;
      }
      return found !== undefined;
    };
    await this.until(isThere, () => `no event "${name}" that fits has come`);
    return found as PlatformEvents[Name];
  }

  until(holds: () => boolean, describe: () => string): Promise<void> {
    const { waitMs } = this.#options;
    return until(holds, waitMs, describe, (check, fail) => {
      const waiting = { check, fail };
      this.#waiting.add(waiting);
      return () => this.#waiting.delete(waiting);
    });
  }

  #record(entry: RecordedEvent): void {
    this.events.push(entry);
    const surprise =
      entry.name === "warning" &&
      this.#options.failOnWarnings &&
      this.unexpectedWarnings().includes(textOf(entry.event))
        ? failed(`the host warned: ${textOf(entry.event)}`)
        : undefined;
    for (const { check, fail } of [...this.#waiting]) surprise === undefined ? check() : fail(surprise);
  }
}

function textOf({ message, error }: PlatformEvents["warning"]): string {
  if (error === undefined) return message;
  const code = error instanceof PluginHostError ? `${error.code} ` : "";
  return `${message}: ${code}${error instanceof Error ? error.message : String(error)}`;
}
