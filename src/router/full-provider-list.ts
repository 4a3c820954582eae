import type { InFlight } from "../internal/in-flight.js";
import type { RuntimeId } from "../model/catalog.js";
import type { FullProviders } from "./decide.js";
import type { RouteProvider } from "./router-view.js";

/** A provider that was found full. */
export interface FullProvider {
  readonly runtimeId: RuntimeId;
  readonly inFlight: InFlight;
  /** The service types of the calls that found it so. */
  readonly types: ReadonlySet<string>;
}

interface Entry extends FullProvider {
  readonly types: Set<string>;
}

/**
 * The providers that were found full and that no call has left since. Costs nothing while no provider is full: only
 * those that are on the list are listened to.
 */
export class FullProviderList implements FullProviders {
  readonly #entries = new Map<RuntimeId, Entry>();
  readonly #byType = new Map<string, Set<RuntimeId>>();
  readonly #onLeave: (provider: FullProvider) => void;

  /** @param onLeave called when a call has left a provider of the list, which is off the list by then */
  constructor(onLeave: (provider: FullProvider) => void) {
    this.#onLeave = onLeave;
  }

  of(type: string): ReadonlySet<RuntimeId> | undefined {
    return this.#byType.get(type);
  }

  /** Undefined if the provider is not on the list. */
  get(runtimeId: RuntimeId): FullProvider | undefined {
    return this.#entries.get(runtimeId);
  }

  note(type: string, { plugin: { runtimeId }, inFlight }: Pick<RouteProvider, "plugin" | "inFlight">): void {
    this.put({ runtimeId, inFlight, types: new Set([type]) });
  }

  /** Puts a provider on the list, or adds types to what is known of it. */
  put({ runtimeId, inFlight, types }: FullProvider): void {
    let entry = this.#entries.get(runtimeId);
    if (entry === undefined) {
      const added: Entry = { runtimeId, inFlight, types: new Set() };
      entry = added;
      this.#entries.set(runtimeId, added);
      inFlight.onLeave = () => {
        this.drop(added);
        this.#onLeave(added);
      };
    }
    for (const type of types) {
      entry.types.add(type);
      const providers = this.#byType.get(type);
      if (providers === undefined) this.#byType.set(type, new Set([runtimeId]));
      else providers.add(runtimeId);
    }
  }

  clear(): void {
    for (const entry of [...this.#entries.values()]) this.drop(entry);
  }

  /** Takes a provider off the list. */
  drop({ runtimeId, inFlight, types }: FullProvider): void {
    this.#entries.delete(runtimeId);
    inFlight.onLeave = undefined;
    for (const type of types) {
      const providers = this.#byType.get(type);
      providers?.delete(runtimeId);
      if (providers?.size === 0) this.#byType.delete(type);
    }
  }
}
