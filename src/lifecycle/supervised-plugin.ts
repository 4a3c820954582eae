import { PluginHostError } from "../errors.js";
import type { Timer } from "../internal/clock.js";
import type { LaunchEnd } from "../model/launch.js";
import { type DownState, type Importance, isDown, type Supervision } from "../model/supervision.js";
import { CrashHistory } from "./crash-history.js";
import { downReason, firstLine } from "./down-reason.js";
import type { LivePlugin } from "./live-plugin.js";
import type { StartSpec } from "./start-spec.js";
import type { SupervisionParts } from "./supervision-parts.js";
import type { SupervisionSpec } from "./supervision-spec.js";

/** Keeps a plugin from being started. */
export interface Hold {
  /** When the start that was under way is rolled back; undefined if there was none. */
  readonly settled: Promise<void> | undefined;
  /** What came due meanwhile happens now. Idempotent. */
  resume(): void;
}

const maxEarlierIds = 100;

/** One plugin that the host started, over all its incarnations. */
export class SupervisedPlugin {
  readonly #parts: SupervisionParts;
  readonly #spec: StartSpec;
  readonly #onClose: (runtimeId: string) => void;
  readonly #onBecome: (before: LivePlugin, after: LivePlugin) => void;
  readonly #history: CrashHistory | undefined;
  readonly importance: Importance;
  #plugin: LivePlugin;
  /** Nobody ever heard what it calls itself. */
  #isNameOpen: boolean;
  #timer: Timer | undefined;
  #start: { readonly done: Promise<LivePlugin>; readonly abort: AbortController } | undefined;
  #holds = 0;
  #isDue = false;
  /** The service type without which it cannot start. */
  #waitsFor: string | undefined;
  /** How the last incarnation ended. */
  #how = "";
  #isClosed = false;

  constructor(
    plugin: LivePlugin,
    spec: StartSpec,
    parts: SupervisionParts,
    listeners: {
      readonly onClose: (runtimeId: string) => void;
      readonly onBecome: (before: LivePlugin, after: LivePlugin) => void;
      readonly isNameOpen?: boolean;
    },
  ) {
    const { restart, importance = "required" } = spec.supervision ?? {};
    this.#plugin = plugin;
    this.#spec = spec;
    this.#parts = parts;
    this.#onClose = listeners.onClose;
    this.#onBecome = listeners.onBecome;
    this.#isNameOpen = listeners.isNameOpen ?? false;
    this.importance = importance;
    this.#history = restart && new CrashHistory(restart, parts.random);
    this.#follow(plugin);
  }

  /** The incarnation that everybody sees. */
  get plugin(): LivePlugin {
    return this.#plugin;
  }

  /** How another plugin in its place is supervised if nothing else is said. */
  get terms(): SupervisionSpec {
    return { restart: this.#spec.supervision?.restart, importance: this.importance };
  }

  /** It runs from now on; its end is noticed. */
  watch(): void {
    const plugin = this.#plugin;
    plugin.supervision = Object.freeze({ kind: "running", restarts: this.#history?.attempts ?? 0 });
    void plugin.launched?.ended.then((end) => this.#ended(plugin, end));
  }

  /** It failed to start, and nothing of it was there before. What is optional is not tried again by itself. */
  failedToStart(error: unknown): void {
    const lastError = error instanceof Error ? error.message : String(error);
    if (this.importance !== "optional") return this.#fail(error);
    const reason = `it did not start: ${firstLine(lastError)}`;
    this.#set({ kind: "ended", since: this.#parts.clock.now(), reason, lastError }, firstLine(lastError));
  }

  /**
   * Starts it at once, and forgets how often it has ended. While it is being started, that start counts; while it runs,
   * nothing happens.
   *
   * @throws PluginHostError `OPERATION_CONFLICT` while it is removed or replaced; why it did not start
   */
  async release(): Promise<LivePlugin> {
    const { supervision, runtimeId } = this.#plugin;
    if (!isDown(supervision)) return this.#plugin;
    if (this.#holds > 0) {
      const message = `${runtimeId} is being removed or replaced; wait for that to end`;
      throw new PluginHostError("OPERATION_CONFLICT", message, { details: { runtimeId } });
    }
    if (this.#start !== undefined) return this.#start.done;
    this.#history?.forget();
    return this.#begin("operator");
  }

  /** Nothing is started until the hold is over; what is being started is rolled back. */
  hold(): Hold {
    this.#holds += 1;
    this.#start?.abort.abort(new Error("another operation takes its place"));
    let isOver = false;
    return {
      settled: this.#start?.done.then(ignore, ignore),
      resume: () => {
        if (isOver) return;
        isOver = true;
        this.#holds -= 1;
        if (this.#holds === 0 && this.#isDue) this.#due();
      },
    };
  }

  /** Providers of these service types have changed: what it waits for may have come. */
  typesChanged(types: ReadonlySet<string>): void {
    if (this.#waitsFor === undefined || this.#isClosed) return;
    const isConcerned = types.has(this.#waitsFor) || this.#plugin.requires.some(({ type }) => types.has(type));
    // Not from within the change that it waited for.
    if (isConcerned && !this.#parts.isBlocked(this.#plugin)) this.#schedule(0);
  }

  /** It is not started again any more. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #follow(plugin: LivePlugin): void {
    plugin.importance = this.importance;
    plugin.gone.addEventListener("abort", () => {
      if (this.#plugin !== plugin) return;
      this.close();
      this.#onClose(plugin.runtimeId);
    });
  }

  #ended(plugin: LivePlugin, { reason, error }: LaunchEnd): void {
    // One that is being removed ends because it was told to.
    if (this.#plugin !== plugin || plugin.visibility.kind === "gone" || plugin.phase.kind === "draining") return;
    this.#how = reason;
    const lastError = error instanceof Error ? error.message : reason;
    if (this.#isClosed) return plugin.health.exited(reason);
    const ranMs = this.#parts.clock.monotonic() - (plugin.committedAt ?? 0);
    this.#parts.disable(plugin);
    this.#crashed(ranMs, lastError, undefined);
  }

  #crashed(ranMs: number, lastError: string, failure: string | undefined): void {
    const { clock } = this.#parts;
    const since = clock.now();
    if (this.#history === undefined) {
      return this.#set({ kind: "ended", since, reason: this.#how, lastError }, failure);
    }
    const next = this.#history.crashed(clock.monotonic(), ranMs);
    if (next.kind === "quarantine") {
      const times = next.crashes === 1 ? "once" : `${next.crashes} times in a row`;
      const reason = `it ended or failed to start ${times}`;
      return this.#set({ kind: "quarantined", since, crashes: next.crashes, reason, lastError }, failure);
    }
    const { attempt, delayMs } = next;
    this.#set({ kind: "restarting", attempt, nextAt: Math.round(since + delayMs), lastError }, failure);
    this.#schedule(delayMs);
  }

  #schedule(delayMs: number): void {
    this.#timer?.cancel();
    this.#isDue = false;
    this.#timer = this.#parts.clock.after(delayMs, () => this.#due());
  }

  #due(): void {
    if (this.#isClosed) return;
    this.#isDue = this.#holds > 0;
    if (!this.#isDue) this.#begin("schedule").catch(ignore);
  }

  #begin(by: "schedule" | "operator"): Promise<LivePlugin> {
    this.#timer?.cancel();
    this.#isDue = false;
    this.#waitsFor = undefined;
    const { supervision } = this.#plugin;
    const lastError = isDown(supervision) ? supervision.lastError : "";
    const abort = new AbortController();
    const done = this.#restart(abort);
    done.catch(ignore);
    this.#start = { done, abort };
    this.#set({ kind: "starting", attempt: this.#history?.attempts ?? 0, by, lastError }, undefined);
    return done;
  }

  async #restart(abort: AbortController): Promise<LivePlugin> {
    // So that whoever began it knows of it before it can be over.
    await undefined;
    const before = this.#plugin;
    try {
      return await this.#parts.restart({
        spec: this.#spec,
        before,
        isNameOpen: this.#isNameOpen,
        onCommit: (plugin) => this.#become(before, plugin),
        signal: abort.signal,
      });
    } catch (error) {
      this.#start = undefined;
      if (this.#isClosed) throw error;
      if (abort.signal.aborted) this.#putOff();
      else this.#fail(error);
      throw error;
    }
  }

  #become(before: LivePlugin, after: LivePlugin): () => void {
    this.#start = undefined;
    this.#isNameOpen = false;
    this.#plugin = after;
    const [first, ...later] = [...before.earlierIds, before.runtimeId];
    // The first is the one that who added it holds.
    after.earlierIds = first === undefined ? [] : [first, ...later.slice(-maxEarlierIds)];
    this.#follow(after);
    this.#onBecome(before, after);
    this.watch();
    return () => this.#tell(after, before.supervision);
  }

  /** A start that was called off is no failure of the plugin's. */
  #putOff(): void {
    const { supervision } = this.#plugin;
    if (supervision.kind !== "starting") return;
    const { attempt, lastError } = supervision;
    this.#set({ kind: "restarting", attempt, nextAt: this.#parts.clock.now(), lastError }, undefined);
    this.#isDue = true;
    if (this.#holds === 0) this.#due();
  }

  #fail(error: unknown): void {
    const lastError = error instanceof Error ? error.message : String(error);
    const type = error instanceof PluginHostError && error.code === "DEPENDENCY_MISSING" && error.details.type;
    const policy = this.#spec.supervision?.restart;
    if (policy === undefined || typeof type !== "string") return this.#crashed(0, lastError, firstLine(lastError));
    // That is nothing that the plugin did. It is looked for again when it may have come, and now and then.
    this.#waitsFor = type;
    const { clock } = this.#parts;
    const nextAt = Math.round(clock.now() + policy.maxDelayMs);
    const attempt = this.#history?.attempts ?? 0;
    this.#set({ kind: "restarting", attempt, nextAt, lastError }, firstLine(lastError));
    this.#schedule(policy.maxDelayMs);
  }

  /** @param failure why the last start failed, if one has failed since the end */
  #set(state: DownState, failure: string | undefined): void {
    const plugin = this.#plugin;
    const before = plugin.supervision;
    plugin.supervision = Object.freeze(state);
    plugin.health.exited(downReason(this.#how, state, failure));
    if (plugin.visibility.kind === "committed") this.#tell(plugin, before);
  }

  #tell({ runtimeId, selfId, supervision }: LivePlugin, before: Supervision): void {
    this.#parts.emit("supervision", { runtimeId, selfId, supervision, before });
  }
}

/** For promises that somebody else looks at. */
const ignore = (): void => {};
