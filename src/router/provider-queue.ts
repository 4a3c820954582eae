import type { Clock } from "../internal/clock.js";
import { FairQueue } from "../internal/fair-queue.js";
import type { RuntimeId } from "../model/catalog.js";
import type { Decision, Forward, FullProviders, Refuse } from "./decide.js";
import { type FullProvider, FullProviderList } from "./full-provider-list.js";
import { type TimeoutEntry, type TimeoutPlace, TimeoutQueue } from "./timeout-queue.js";

/** A call that may wait until a provider has room. */
export interface WaitingCall {
  /** Whose call it is. The callers of one queue take turns. */
  readonly callerKey: string;
  readonly serviceType: string;
  /** Whether it names its provider; otherwise any of the type will do. */
  readonly pinned: boolean;
  /** Decides anew, now. */
  decide(): Decision;
  /** Its turn has come. */
  forward(decision: Forward): void;
  /** It must not wait any longer. */
  refuse(refusal: Refuse): void;
}

/** Settings of a {@link ProviderQueue}. */
export interface ProviderQueueOptions {
  readonly clock: Clock;
  readonly maxInFlightPerProvider: number;
  /** How many calls may wait for each provider. */
  readonly maxQueuedPerProvider: number;
  readonly queueTimeoutMs: number;
}

type Line = FairQueue<Place>;

/** A call's place in a line. */
class Place implements TimeoutEntry {
  timeoutPlace: TimeoutPlace | undefined = undefined;
  line: Line | undefined;
  /** Where the line is found. */
  key = "";

  constructor(
    readonly queue: ProviderQueue,
    readonly call: WaitingCall,
    /** Places count up in the order in which they were taken. */
    readonly number: number,
    public refusal: Refuse,
  ) {}

  onTimeout(): void {
    this.queue.expire(this);
  }
}

/**
 * Calls that wait because their provider works on as many as it may. Nothing of them has been sent, and nothing of their
 * bodies read. Calls that name a provider stand in its line; calls for any provider of a type stand in the type's line,
 * and the first provider of it with room takes them. When a call leaves a provider, whoever has waited longest at the head
 * of its lines is decided on anew, as if it had just come. Callers take turns in a line, and no caller can fill it for good.
 */
export class ProviderQueue {
  readonly #options: ProviderQueueOptions;
  readonly #full: FullProviderList;
  readonly #timeouts: TimeoutQueue;
  readonly #pinned = new Map<RuntimeId, Line>();
  readonly #any = new Map<string, Line>();
  readonly #places = new Map<WaitingCall, Place>();
  readonly #toServe: FullProvider[] = [];
  #isServing = false;
  #nextNumber = 0;

  constructor(options: ProviderQueueOptions) {
    this.#options = options;
    this.#timeouts = new TimeoutQueue(options.clock, options.queueTimeoutMs);
    this.#full = new FullProviderList((provider) => {
      // A call that ends at once frees its place while others are still being served: one after the other.
      this.#toServe.push(provider);
      this.#serveAll();
    });
  }

  /** For `decide`: which providers have no room. */
  get full(): FullProviders {
    return this.#full;
  }

  /** How many calls wait. */
  get size(): number {
    return this.#places.size;
  }

  /** How many calls wait that this provider may take: those that name it, and those for any of its types. */
  waitingFor(runtimeId: RuntimeId): number {
    let count = this.#pinned.get(runtimeId)?.size ?? 0;
    for (const type of this.#full.get(runtimeId)?.types ?? []) count += this.#any.get(type)?.size ?? 0;
    return count;
  }

  /** Puts a call in line that `decide` found no room for, or refuses it, or another one in its place. */
  join(call: WaitingCall, refusal: Refuse): void {
    const { maxQueuedPerProvider, queueTimeoutMs } = this.#options;
    if (maxQueuedPerProvider === 0 || queueTimeoutMs === 0 || refusal.provider === undefined) {
      call.refuse(refusal);
      return;
    }
    const place = new Place(this, call, this.#nextNumber++, refusal);
    const { lines, key } = this.#lineOf(call, refusal);
    const providers = call.pinned ? 1 : (this.#full.of(call.serviceType)?.size ?? 1);
    const line: Line = lines.get(key) ?? new FairQueue();
    const joined = line.offer(call.callerKey, place, maxQueuedPerProvider * providers);
    if (joined.kind === "full") {
      call.refuse(queueFull(refusal, line.size));
      return;
    }
    lines.set(key, line);
    place.line = line;
    place.key = key;
    this.#places.set(call, place);
    this.#timeouts.add(place);
    if (joined.kind === "instead") {
      const { dropped } = joined;
      dropped.line = undefined;
      this.#forget(dropped);
      dropped.call.refuse(queueFull(dropped.refusal, line.size));
    }
  }

  /** The call does not wait any more, for a reason of its own. Does nothing if it does not wait. */
  leave(call: WaitingCall): void {
    const place = this.#places.get(call);
    if (place !== undefined) this.#remove(place);
  }

  /** Decides anew on all waiting calls to these types: a provider may have come, gone, or changed. */
  reconsider(types: ReadonlySet<string>): void {
    if (this.#places.size === 0) return;
    this.#whileServing(() => {
      for (const place of [...this.#places.values()]) {
        if (place.line !== undefined && types.has(place.call.serviceType)) this.#decide(place);
      }
    });
  }

  /** The provider may have room although no call has left it. */
  roomAt(runtimeId: RuntimeId): void {
    const provider = this.#full.get(runtimeId);
    if (provider === undefined) return;
    this.#full.drop(provider);
    this.#toServe.push(provider);
    this.#serveAll();
  }

  /** Refuses all calls that wait. */
  close(reason: string): void {
    for (const place of [...this.#places.values()]) {
      this.#remove(place);
      place.call.refuse({ ...place.refusal, busy: false, reason });
    }
    this.#timeouts.close();
    this.#full.clear();
  }

  /** @internal A place's time is over. */
  expire(place: Place): void {
    if (place.line === undefined) return;
    this.#remove(place);
    const reason = `${place.refusal.reason}; the call has waited ${this.#options.queueTimeoutMs} ms for its turn`;
    place.call.refuse({ ...place.refusal, busy: false, reason });
  }

  #lineOf(call: WaitingCall, { provider }: Refuse): { lines: Map<string, Line>; key: string } {
    if (!call.pinned) return { lines: this.#any, key: call.serviceType };
    return { lines: this.#pinned, key: provider?.plugin.runtimeId ?? "" };
  }

  #serveAll(): void {
    this.#whileServing(() => {});
  }

  /** Calls that end meanwhile free places, which are given away afterwards, and not from within. */
  #whileServing(work: () => void): void {
    const isOutermost = !this.#isServing;
    this.#isServing = true;
    try {
      work();
      if (!isOutermost) return;
      for (let next = this.#toServe.shift(); next !== undefined; next = this.#toServe.shift()) this.#serve(next);
    } finally {
      if (isOutermost) this.#isServing = false;
    }
  }

  /** Gives the room that a provider has to those who wait for it. */
  #serve(provider: FullProvider): void {
    const lines = this.#linesFor(provider);
    /** Heads that this room does not help; those behind them are of the same caller and wait for them. */
    const passed = new Set<Place>();
    while (provider.inFlight.count < this.#options.maxInFlightPerProvider) {
      const next = nextOf(lines, passed);
      if (next === undefined) return;
      if (!this.#decide(next)) passed.add(next);
    }
    this.#full.put(provider);
  }

  #linesFor({ runtimeId, types }: FullProvider): Line[] {
    const lines: Line[] = [];
    const own = this.#pinned.get(runtimeId);
    if (own !== undefined) lines.push(own);
    for (const type of types) {
      const line = this.#any.get(type);
      if (line !== undefined) lines.push(line);
    }
    return lines;
  }

  /** Whether the call does not wait any more. */
  #decide(place: Place): boolean {
    const { call } = place;
    const decision = call.decide();
    if (decision.kind === "refuse" && decision.busy === true) {
      place.refusal = decision;
      this.#move(place, decision);
      return false;
    }
    place.line?.served(call.callerKey, place);
    this.#remove(place);
    if (decision.kind === "forward") call.forward(decision);
    else call.refuse(decision);
    return true;
  }

  /** To the line where it must wait now: what it named may lead to another provider. It was let in already. */
  #move(place: Place, refusal: Refuse): void {
    const { call } = place;
    const { lines, key } = this.#lineOf(call, refusal);
    if (key === place.key) return;
    this.#drop(place);
    const line: Line = lines.get(key) ?? new FairQueue();
    lines.set(key, line);
    line.add(call.callerKey, place);
    place.line = line;
    place.key = key;
  }

  #remove(place: Place): void {
    this.#drop(place);
    this.#forget(place);
  }

  #drop(place: Place): void {
    const { line, call, key } = place;
    if (line === undefined) return;
    line.delete(call.callerKey, place);
    place.line = undefined;
    const lines = call.pinned ? this.#pinned : this.#any;
    if (line.size === 0 && lines.get(key) === line) lines.delete(key);
  }

  #forget(place: Place): void {
    this.#timeouts.delete(place);
    this.#places.delete(place.call);
  }
}

/** Of the calls whose caller's turn it is, the one that came first. */
function nextOf(lines: readonly Line[], passed: ReadonlySet<Place>): Place | undefined {
  let next: Place | undefined;
  for (const line of lines) {
    const head = passed.size === 0 ? line.first() : line.heads().find((place) => !passed.has(place));
    if (head !== undefined && (next === undefined || head.number < next.number)) next = head;
  }
  return next;
}

const queueFull = (refusal: Refuse, waiting: number): Refuse => ({
  ...refusal,
  busy: false,
  reason: `${refusal.reason}; ${waiting} more wait already`,
});
