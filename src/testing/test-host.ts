import type { DescService } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import {
  type HostClientOptions,
  type HostedModule,
  type ListenOptions,
  Platform,
  type PlatformEvents,
  type PlatformOptions,
  type PluginSpec,
  type PluginView,
} from "../index.js";
import { EventJournal, type RecordedEvent } from "./event-journal.js";
import { failed } from "./expectation.js";

/** Options of {@link startTestHost}: those of a platform, with shorter times by default, and these. */
export interface TestHostOptions extends PlatformOptions {
  /** `true` for any free port of 127.0.0.1. @default false: no port, everything goes through memory */
  readonly listen?: boolean | ListenOptions;
  /**
   * How long each wait of the host lasts at most, in real time, in milliseconds. Shorter by default than the 5 s that many test
   * frameworks give a test, so that it is the wait that says what is missing. @default 4_000
   */
  readonly waitMs?: number;
  /**
   * Whether a warning of the host that no `allowWarning` fits is a failure: of every wait that is open then, and of
   * `stop`. @default false
   */
  readonly failOnWarnings?: boolean;
}

/** A platform in memory that remembers all of its events. Waits are for events and have a deadline; none of them sleeps. */
export interface TestHost extends AsyncDisposable {
  readonly platform: Platform;
  /** Where it listens; undefined if it does not. */
  readonly url: string | undefined;
  /** All events so far, in their order. */
  readonly events: readonly RecordedEvent[];
  /** The events of one name so far. */
  eventsOf<Name extends keyof PlatformEvents>(name: Name): readonly PlatformEvents[Name][];
  /** What the host warned of so far. */
  readonly warnings: readonly PlatformEvents["warning"][];
  /** Warnings that a text `message: CODE error` of which fits `pattern` are expected. */
  allowWarning(pattern: RegExp): void;
  /** A typed client of a service, as `platform.client`. */
  client<S extends DescService>(service: S, options?: HostClientOptions): Client<S>;
  /** Adds a plugin: what `definePlugin` and `fakePlugin` return, or anything that `platform.addPlugin` takes. */
  add(plugin: HostedModule | PluginSpec): Promise<PluginView>;
  /** Removes a plugin, by its runtime id or its self id. */
  remove(id: string): Promise<void>;
  /** A visible plugin by its runtime id or its self id; the first of several. Undefined if there is none. */
  find(id: string): PluginView | undefined;
  /** Resolves with the next event of that name that fits. */
  next<Name extends keyof PlatformEvents>(
    name: Name,
    fits?: (event: PlatformEvents[Name]) => boolean,
  ): Promise<PlatformEvents[Name]>;
  /** Resolves as soon as the condition holds, looked at now and after each event. `what` is told if it never does. */
  until(what: string, holds: () => boolean): Promise<void>;
  /** Resolves when the plugin is visible and healthy. `id` is a runtime id or a self id. */
  untilHealthy(id: string): Promise<PluginView>;
  /** Resolves when the plugin is visible and in this state of health. */
  untilHealth(id: string, state: PluginView["health"]): Promise<PluginView>;
  /** Resolves when no plugin of that runtime id or self id is visible. */
  untilGone(id: string): Promise<void>;
  /** Resolves when the visible state has changed that many times since the host's start. */
  untilRevision(number: number): Promise<void>;
  /** Stops the platform. Rejects if there were unexpected warnings and `failOnWarnings` is set. */
  stop(): Promise<void>;
}

/** Quick where nothing happens, patient enough for a busy machine. */
const shortTimes = {
  health: { intervalMs: 1_000, retryMs: 20, timeoutMs: 2_000, startGraceMs: 500 },
  limits: { connectGraceMs: 500, graceMs: 1_000, healthMs: 5_000, drainMs: 5_000, shutdownMs: 1_000 },
  stopBudgetMs: 5_000,
} satisfies PlatformOptions;

/**
 * Starts a host for a test. It opens no port unless asked to, and is stopped by `stop` or by leaving an `await using` scope.
 *
 * @throws PluginHostError as `new Platform` and `listen`
 */
export async function startTestHost(options: TestHostOptions = {}): Promise<TestHost> {
  const { listen = false, waitMs = 4_000, failOnWarnings = false, ...given } = options;
  const platform = new Platform({
    ...shortTimes,
    ...given,
    health: { ...shortTimes.health, ...given.health },
    limits: { ...shortTimes.limits, ...given.limits },
  });
  const journal = new EventJournal(platform, { waitMs, failOnWarnings });
  try {
    if (listen !== false) await platform.listen(listen === true ? { port: 0 } : listen);
  } catch (error) {
    await platform.stop();
    throw error;
  }
  return testHost(platform, journal);
}

function testHost(platform: Platform, journal: EventJournal): TestHost {
  const find = (id: string): PluginView | undefined => {
    const views = platform.plugins();
    return views.find(({ runtimeId }) => runtimeId === id) ?? views.find(({ selfId }) => selfId === id);
  };
  const untilView = async (id: string, what: string, fits: (view: PluginView) => boolean): Promise<PluginView> => {
    const seen = (): PluginView | undefined => find(id);
    await journal.until(
      () => {
        const view = seen();
        return view !== undefined && fits(view);
      },
      () => `${id} is not ${what}, but ${shown(seen())}`,
    );
    return seen() as PluginView;
  };
  const stop = async (): Promise<void> => {
    await platform.stop();
    const { failOnWarnings } = journal;
    const warnings = failOnWarnings ? journal.unexpectedWarnings() : [];
    if (warnings.length > 0) throw failed(`the host warned:\n${warnings.map((text) => `  ${text}`).join("\n")}`);
  };
  return {
    platform,
    get url() {
      return platform.url;
    },
    events: journal.events,
    eventsOf: (name) => journal.eventsOf(name),
    get warnings() {
      return journal.eventsOf("warning");
    },
    allowWarning: (pattern) => journal.allowWarning(pattern),
    client: (service, options) => platform.client(service, options),
    add: (plugin) => platform.addPlugin("start" in plugin ? { module: plugin } : plugin),
    async remove(id) {
      await platform.removePlugin(find(id)?.runtimeId ?? id);
    },
    find,
    next: (name, fits = () => true) => journal.next(name, fits),
    until: (what, holds) => journal.until(holds, () => what),
    untilHealthy: (id) => untilView(id, "healthy", ({ health }) => health === "healthy"),
    untilHealth: (id, state) => untilView(id, state, ({ health }) => health === state),
    untilGone: (id) =>
      journal.until(
        () => find(id) === undefined,
        () => `${id} is still there, ${shown(find(id))}`,
      ),
    untilRevision: (number) =>
      journal.until(
        () => journal.revision >= number,
        () => `the host is at revision ${journal.revision}, not ${number}`,
      ),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function shown(view: PluginView | undefined): string {
  if (view === undefined) return "not there";
  return `${view.state} and ${view.health}${view.reason === "" ? "" : ` (${view.reason})`}`;
}
