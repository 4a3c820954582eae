import { maxAvoided } from "../../model/provider-choice.js";
import type { Circuit, CircuitState, Entrance, Pass } from "./circuit.js";

/** What a call came to, as far as it tells of who was asked. */
export type CallResult =
  | { readonly kind: "succeeded" }
  | { readonly kind: "failed"; readonly reason: string }
  /** It says nothing. */
  | { readonly kind: "undecided" };

interface Trial {
  readonly provider: string;
  readonly circuit: Circuit;
  readonly pass: Pass;
}

/** What one call may do, to be given back with its result. */
export interface Visit {
  /** Who must not be asked. */
  readonly avoid: readonly string[];
  /** Whom it may ask to try. */
  readonly trials: readonly Trial[];
  /** For all others. */
  readonly pass: Pass;
}

type Refusal = Extract<Entrance, { kind: "refused" }>;

/**
 * The circuits of the providers of which one key's calls were told. Who is chosen is the host's matter: a call says whom it avoids, and
 * learns afterwards who was asked. There are never more than may be avoided.
 */
export class ProviderCircuits {
  readonly #open: (provider: string) => Circuit;
  /** The one that was heard of last is the last. */
  readonly #known = new Map<string, Circuit>();

  /** @param open makes the circuit of a provider */
  constructor(open: (provider: string) => Circuit) {
    this.#open = open;
  }

  /** How the best of them is: while one is closed, calls find somebody. */
  get state(): CircuitState {
    let best: CircuitState | undefined;
    for (const { state } of this.#known.values()) {
      if (state === "closed") return state;
      if (best !== "half-open") best = state;
    }
    return best ?? "closed";
  }

  /** Whether a call that came now would find one that it may ask, as far as is known. */
  get isPassable(): boolean {
    for (const circuit of this.#known.values()) if (circuit.isPassable) return true;
    return this.#known.size === 0;
  }

  /** Whether nothing is known against any. */
  get isClean(): boolean {
    for (const circuit of this.#known.values()) if (!circuit.isClean) return false;
    return true;
  }

  /** Undefined if nothing is known of the provider. */
  get(provider: string): Circuit | undefined {
    return this.#known.get(provider);
  }

  /** Whoever is there now may be others: those who are not chosen when they may be are forgotten. */
  retest(): void {
    for (const circuit of this.#known.values()) circuit.retest(true);
  }

  /** A call begins at `era`. */
  enter(era: number): Visit {
    const avoid: string[] = [];
    const trials: Trial[] = [];
    for (const [provider, circuit] of this.#known) {
      if (circuit.state === "closed") continue;
      if (this.#forgetForsaken(provider, circuit)) continue;
      const entrance = circuit.enter();
      if (entrance.kind === "refused") avoid.push(provider);
      else trials.push({ provider, circuit, pass: entrance });
    }
    return { avoid, trials, pass: { kind: "pass", era } };
  }

  /** `provider` was asked: others need not wait for the call any more. */
  asked({ trials }: Visit, provider: string): void {
    for (const trial of trials) {
      if (trial.provider === provider) continue;
      trial.circuit.undecided(trial.pass, true);
      this.#forgetForsaken(trial.provider, trial.circuit);
    }
  }

  /** The stream of a call for which `provider` was asked has begun. Returns what is to be given back with its result. */
  begun(visit: Visit, provider: string): Visit {
    const circuit = this.#heardOf(provider);
    return { avoid: visit.avoid, trials: [], pass: circuit.begun(passFor(circuit, visit)) };
  }

  /** Takes the result of a call for which `provider` was asked, as `asked` was told. */
  told(visit: Visit, provider: string, result: CallResult): void {
    const circuit = this.#heardOf(provider);
    give(circuit, passFor(circuit, visit), result);
  }

  /**
   * Takes the result of a call of which nobody knows who was asked. If it has failed, it is held against those that it was let through to
   * try: otherwise one that never answers would be tried with each call.
   */
  untold({ trials }: Visit, result: CallResult): void {
    for (const { circuit, pass } of trials) {
      if (result.kind === "failed") circuit.failed(pass, result.reason);
      else circuit.undecided(pass);
    }
  }

  /**
   * There is nobody but those that the call has avoided: forgets the others, which have gone.
   *
   * @returns when one of them may be asked again; undefined if that is so by now
   */
  onlyAvoided({ trials }: Visit): Refusal | undefined {
    for (const { circuit, pass } of trials) circuit.undecided(pass, true);
    let soonest: Refusal | undefined;
    for (const [provider, circuit] of this.#known) {
      const { refusal } = circuit;
      if (refusal === undefined) this.#known.delete(provider);
      else if (soonest === undefined || refusal.retryAfterMs < soonest.retryAfterMs) soonest = refusal;
    }
    return soonest;
  }

  #heardOf(provider: string): Circuit {
    let circuit = this.#known.get(provider);
    this.#known.delete(provider);
    if (circuit === undefined) {
      this.#makeRoom();
      circuit = this.#open(provider);
    }
    this.#known.set(provider, circuit);
    return circuit;
  }

  /** Lets the one go of which the least is lost. */
  #makeRoom(): void {
    if (this.#known.size < maxAvoided) return;
    const all = [...this.#known];
    const found = all.find(([, { isClean }]) => isClean) ?? all.find(([, { state }]) => state === "closed") ?? all[0];
    if (found !== undefined) this.#forget(...found, "too many providers are known");
  }

  #forgetForsaken(provider: string, circuit: Circuit): boolean {
    // A call that was under way for long may bring news of a circuit that is another's by now.
    const isForsaken = circuit.isForsaken && this.#known.get(provider) === circuit;
    if (isForsaken) this.#forget(provider, circuit, "it was not chosen any more");
    return isForsaken;
  }

  #forget(provider: string, circuit: Circuit, reason: string): void {
    this.#known.delete(provider);
    circuit.forget(reason);
  }
}

const passFor = (circuit: Circuit, { trials, pass }: Visit): Pass =>
  trials.find((trial) => trial.circuit === circuit)?.pass ?? pass;

/** Tells a circuit of a result. */
export function give(circuit: Circuit, pass: Pass, result: CallResult): void {
  switch (result.kind) {
    case "succeeded":
      return circuit.succeeded(pass);
    case "failed":
      return circuit.failed(pass, result.reason);
    case "undecided":
      return circuit.undecided(pass);
  }
}
