import type { Clock } from "../../internal/clock.js";
import { Emitter } from "../../internal/emitter.js";
import { Circuit, type CircuitState, Eras } from "./circuit.js";
import type { CircuitEvent } from "./circuit-breaker.js";
import { ProviderCircuits } from "./provider-circuits.js";

/** What circuits need. */
export interface CircuitsOptions {
  readonly failures: number;
  readonly openMs: number;
  readonly clock: Clock;
}

/** The circuits of one key. */
export interface KeyCircuits {
  /** For calls of which nobody has said who was asked. */
  readonly own: Circuit;
  readonly providers: ProviderCircuits;
}

interface Entry extends KeyCircuits {
  calls: number;
}

/** The circuits of a breaker: of those keys that calls are in, or that something is known against. */
export class Circuits {
  readonly eras = new Eras();
  readonly #options: CircuitsOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #changes = new Emitter<{ change: CircuitEvent }>();

  constructor(options: CircuitsOptions) {
    this.#options = options;
  }

  stateOf(key: string, provider: string | undefined): CircuitState {
    const entry = this.#entries.get(key);
    if (provider !== undefined) return entry?.providers.get(provider)?.state ?? "closed";
    if (entry === undefined) return "closed";
    return entry.own.state === "closed" ? entry.providers.state : entry.own.state;
  }

  isPassable(key: string, provider: string | undefined): boolean {
    const entry = this.#entries.get(key);
    if (provider !== undefined) return entry?.providers.get(provider)?.isPassable ?? true;
    return entry === undefined || (entry.own.isPassable && entry.providers.isPassable);
  }

  retest(key: string, provider: string | undefined): void {
    const entry = this.#entries.get(key);
    if (provider !== undefined) return entry?.providers.get(provider)?.retest();
    entry?.own.retest();
    entry?.providers.retest();
  }

  onChange(listener: (event: CircuitEvent) => void): () => void {
    return this.#changes.on("change", listener);
  }

  /** A call of `key` has come; `leave` is to be called when it is over. */
  enter(key: string): KeyCircuits {
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      const providers = new ProviderCircuits((provider) => this.#circuit(key, provider));
      entry = { own: this.#circuit(key, ""), providers, calls: 0 };
      this.#entries.set(key, entry);
    }
    entry.calls += 1;
    return entry;
  }

  leave(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    entry.calls -= 1;
    if (entry.calls === 0 && entry.own.isClean && entry.providers.isClean) this.#entries.delete(key);
  }

  #circuit(key: string, provider: string): Circuit {
    const { failures, openMs, clock } = this.#options;
    const onChange = (state: CircuitState, reason: string): void =>
      this.#changes.emit("change", { key, provider, state, reason });
    return new Circuit({ failures, openMs, clock, eras: this.eras, onChange });
  }
}
