import { ConnectError } from "@connectrpc/connect";
import { invalid } from "../errors.js";
import { checkObject } from "../http/check-object.js";
import { type Clock, systemClock, type Timer } from "../internal/clock.js";
import { checkNumber } from "../model/limits.js";
import { notSentField } from "../model/not-sent.js";
import { isCircuitOpen } from "./interceptors/circuit-open-error.js";
import type { DependencyState } from "./plugin-definition.js";

/** Whether items pass on at once, or are kept back. */
export type CallBufferState = "passing" | "keeping";

/** Why an item will not be sent: there was no room, its call failed and may not be made again, or the plugin has stopped. */
export type DropReason = "overflow" | "failed" | "stopped";

/** Options of {@link callBuffer}. */
export interface CallBufferOptions<Item> {
  /** Makes the call for one item; rejects if it failed. `signal` is aborted when the plugin does not wait for it any longer. */
  readonly send: (item: Item, signal: AbortSignal) => Promise<unknown>;
  /** How many items are kept at most, with the one whose call is under way. @default 1_000 */
  readonly maxKept?: number;
  /** What happens to an item for which there is no room: it takes the place of the oldest, or it is refused. @default "drop-oldest" */
  readonly overflow?: "drop-oldest" | "refuse";
  /**
   * Whether an item may be sent again after a failure that does not say that nobody got it. After one that says so it always is.
   * @default never
   */
  readonly isRepeatable?: (error: ConnectError, item: Item) => boolean;
  /** How long it waits after a failure before it tries again, in milliseconds, while the dependency is there. @default 1_000 */
  readonly retryMs?: number;
  /** How long the plugin's stop waits for what is kept, in milliseconds, if the dependency is there. @default 1_000 */
  readonly stopMs?: number;
  /** Told when it begins to keep items back, and when those that were kept back are sent. */
  readonly onChange?: (state: CallBufferState) => void;
  /** Told of each item that will not be sent. */
  readonly onDrop?: (item: Item, reason: DropReason, error?: ConnectError) => void;
  /** Where time comes from. @default the system's */
  readonly clock?: Clock;
}

/** What a buffer needs of the context that `setup` gets. */
export interface CallBufferPlugin<Type extends string> {
  onDependency(type: Type, listener: (state: DependencyState) => void): unknown;
  onStop(stop: () => Promise<void>): void;
}

/** What {@link callBuffer} gives. */
export interface CallBuffer<Item> {
  /** Sends the item after those that came before it. False if it was refused: there is no room, or the plugin has stopped. Never throws. */
  add(item: Item): boolean;
  /** How many items wait, with the one whose call is under way. */
  readonly kept: number;
  /** How many items will not be sent, those that were refused included. */
  readonly dropped: number;
  readonly state: CallBufferState;
}

/**
 * Makes calls to a dependency one after the other, in the order in which they were added, and keeps them while it is unavailable. A call that
 * failed is made again only if the host says that it was passed to nobody, or `isRepeatable` says that it may be. Ends with the plugin: what is left then is sent
 * if the dependency is there and takes it in time, else dropped.
 *
 * @param type a key of `requires`
 * @throws PluginHostError `INVALID_ARGUMENT` that names the option
 */
export function callBuffer<Type extends string, Item>(
  plugin: CallBufferPlugin<Type>,
  type: NoInfer<Type>,
  options: CallBufferOptions<Item>,
): CallBuffer<Item> {
  const buffer = new KeptCalls(resolve(options));
  plugin.onDependency(type, ({ state }) => (state === "unavailable" ? buffer.hold() : buffer.release()));
  plugin.onStop(() => buffer.close());
  return buffer;
}

type Resolved<Item> = Required<CallBufferOptions<Item>>;

function resolve<Item>(given: CallBufferOptions<Item>): Resolved<Item> {
  const names = ["send", "maxKept", "overflow", "isRepeatable", "retryMs", "stopMs", "onChange", "onDrop", "clock"];
  checkObject("callBuffer", given, names);
  const { overflow = "drop-oldest" } = given;
  if (typeof given.send !== "function")
    throw invalid("callBuffer.send", `must be a function, got ${typeof given.send}`);
  if (overflow !== "drop-oldest" && overflow !== "refuse") {
    throw invalid("callBuffer.overflow", `must be "drop-oldest" or "refuse", got ${JSON.stringify(overflow)}`);
  }
  const maxKept = checkNumber("callBuffer.maxKept", given.maxKept ?? 1_000, 1, 10_000_000);
  if (!Number.isInteger(maxKept)) throw invalid("callBuffer.maxKept", `must be a whole number, got ${maxKept}`);
  return {
    send: given.send,
    maxKept,
    overflow,
    isRepeatable: given.isRepeatable ?? (() => false),
    retryMs: checkNumber("callBuffer.retryMs", given.retryMs ?? 1_000, 1, 2 ** 31 - 1),
    stopMs: checkNumber("callBuffer.stopMs", given.stopMs ?? 1_000, 0, 2 ** 31 - 1),
    onChange: given.onChange ?? (() => {}),
    onDrop: given.onDrop ?? (() => {}),
    clock: given.clock ?? systemClock,
  };
}

class KeptCalls<Item> implements CallBuffer<Item> {
  readonly #options: Resolved<Item>;
  /** The oldest first. */
  #items: Item[] = [];
  readonly #cut = new AbortController();
  #dropped = 0;
  #state: CallBufferState = "passing";
  #isAway = false;
  #isClosed = false;
  /** While there is one, the first item is under way. */
  #sending: Promise<void> | undefined;
  #retry: Timer | undefined;

  constructor(options: Resolved<Item>) {
    this.#options = options;
  }

  get kept(): number {
    return this.#items.length;
  }

  get dropped(): number {
    return this.#dropped;
  }

  get state(): CallBufferState {
    return this.#state;
  }

  add(item: Item): boolean {
    const { maxKept, overflow } = this.#options;
    if (this.#isClosed) return this.#drop(item, "stopped");
    if (this.#items.length >= maxKept) {
      // What is under way may have arrived already.
      const oldest = this.#sending === undefined ? 0 : 1;
      if (overflow === "refuse" || oldest >= this.#items.length) return this.#drop(item, "overflow");
      for (const old of this.#items.splice(oldest, 1)) this.#drop(old, "overflow");
    }
    this.#items.push(item);
    if (this.#retry === undefined) this.#flush();
    return true;
  }

  /** The dependency is away: do not even try. */
  hold(): void {
    this.#isAway = true;
    this.#retry?.cancel();
    this.#retry = undefined;
    this.#become("keeping");
  }

  /** The dependency is there. */
  release(): void {
    this.#isAway = false;
    this.#retry?.cancel();
    this.#retry = undefined;
    this.#flush();
  }

  async close(): Promise<void> {
    const { clock, stopMs } = this.#options;
    if (this.#retry !== undefined) this.release();
    this.#isClosed = true;
    const cut = (): void => this.#cut.abort();
    const timer = clock.after(this.#isAway ? 0 : stopMs, cut, true);
    const isCut = new Promise<void>((resolve) => this.#cut.signal.addEventListener("abort", () => resolve()));
    // A call need not care for its signal.
    if (this.#sending !== undefined) await Promise.race([this.#sending, isCut]);
    timer.cancel();
    cut();
    for (const item of this.#items.splice(0)) this.#drop(item, "stopped");
  }

  #flush(): void {
    if (this.#isAway || this.#sending !== undefined) return;
    if (this.#items.length === 0) return this.#become("passing");
    this.#sending = this.#sendAll().finally(() => {
      this.#sending = undefined;
      // It may have come back, or something may have been added, after the last look.
      if (this.#retry === undefined && this.#items.length > 0 && !this.#isClosed) this.#flush();
    });
  }

  async #sendAll(): Promise<void> {
    // Those that come meanwhile are not late: with steady traffic there may always be one.
    let late = this.#items.length;
    for (;;) {
      const [item] = this.#items;
      if (item === undefined || this.#isAway || this.#cut.signal.aborted) return;
      const error = await this.#send(item);
      // What is left was dropped meanwhile.
      if (this.#cut.signal.aborted) return;
      if (error !== undefined && this.#mayRepeat(error, item)) return this.#failed();
      this.#items.shift();
      if (error !== undefined) this.#drop(item, "failed", error);
      late -= 1;
      if (late <= 0 && !this.#isAway) this.#become("passing");
    }
  }

  async #send(item: Item): Promise<ConnectError | undefined> {
    try {
      await this.#options.send(item, this.#cut.signal);
      return undefined;
    } catch (error) {
      return ConnectError.from(error);
    }
  }

  #failed(): void {
    this.#become("keeping");
    if (this.#isAway || this.#isClosed) return;
    const { clock, retryMs } = this.#options;
    this.#retry = clock.after(retryMs, () => this.release());
  }

  #mayRepeat(error: ConnectError, item: Item): boolean {
    if (error.metadata.has(notSentField) || isCircuitOpen(error)) return true;
    try {
      return this.#options.isRepeatable(error, item);
    } catch {
      return false;
    }
  }

  #become(state: CallBufferState): void {
    if (this.#state === state) return;
    this.#state = state;
    tell(() => this.#options.onChange(state));
  }

  #drop(item: Item, reason: DropReason, error?: ConnectError): false {
    this.#dropped += 1;
    tell(() => this.#options.onDrop(item, reason, error));
    return false;
  }
}

/** A listener must not be able to stop what it listens to. */
function tell(listener: () => void): void {
  try {
    listener();
  } catch {
    // It has its own ways to say so.
  }
}
