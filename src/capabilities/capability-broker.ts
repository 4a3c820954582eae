import { invalid, PluginHostError } from "../errors.js";
import type { Clock } from "../internal/clock.js";
import type { RuntimeId } from "../model/catalog.js";
import { checkName, checkString, shown } from "../model/limits.js";
import { type Principal, principalId } from "../model/principal.js";
import { compareVersionsDescending, compileVersionRange } from "../model/versions.js";
import type { CheckedOffer } from "./capability-offer.js";
import { GrantStore, type IssuedGrant } from "./grant-store.js";

const maxReasonBytes = 4096;

/** Settings of a {@link CapabilityBroker}. */
export interface CapabilityBrokerOptions {
  readonly clock: Clock;
  readonly ttlMs: number;
  readonly maxPerOwner: number;
  /** Who a runtime id belongs to now; undefined once its identity has ended. */
  readonly ownerOf: (runtimeId: RuntimeId) => Extract<Principal, { kind: "plugin" }> | undefined;
}

/** What a caller asks for. Nothing here is checked yet. */
export interface GrantRequest {
  readonly caller: Principal;
  readonly type: string;
  readonly minVersion: string;
  readonly reason: string;
}

/** A grant for the offer that fitted best. */
export interface NewGrant extends IssuedGrant {
  readonly type: string;
  readonly version: string;
}

/** A grant that is good. */
export interface Grant<Served> {
  readonly caller: Principal;
  readonly offer: CheckedOffer;
  readonly served: Served;
}

interface Offered<Served> {
  readonly offer: CheckedOffer;
  readonly served: Served;
}

interface Use<Served> {
  readonly caller: Principal;
  readonly offered: Offered<Served>;
}

/**
 * Knows what the host offers and who may use it. `Served` is what answers the calls under a grant; the broker
 * only keeps it.
 */
export class CapabilityBroker<Served> {
  readonly #ownerOf: CapabilityBrokerOptions["ownerOf"];
  readonly #grants: GrantStore<Use<Served>>;
  /** Highest version first. */
  readonly #offers = new Map<string, readonly Offered<Served>[]>();

  constructor({ ownerOf, ...store }: CapabilityBrokerOptions) {
    this.#ownerOf = ownerOf;
    this.#grants = new GrantStore(store);
  }

  /**
   * Offers a capability until the returned function is called, which also ends all grants for it.
   *
   * @throws PluginHostError `INVALID_ARGUMENT` if this version is offered already
   */
  offer(offer: CheckedOffer, served: Served): () => void {
    const { type, version } = offer;
    const before = this.#offers.get(type) ?? [];
    if (before.some((other) => other.offer.version === version)) {
      throw invalid("version", `${version} of the capability ${type} is offered already`);
    }
    const own = { offer, served };
    const sorted = [...before, own].sort((a, b) => compareVersionsDescending(a.offer.version, b.offer.version));
    this.#offers.set(type, sorted);
    return () => {
      const left = (this.#offers.get(type) ?? []).filter((other) => other !== own);
      if (left.length === 0) this.#offers.delete(type);
      else this.#offers.set(type, left);
      this.#grants.revokeWhere(({ offered }) => offered === own);
    };
  }

  /** All that is offered, by type in the order in which they came, highest version first. */
  offered(): { readonly type: string; readonly version: string }[] {
    return [...this.#offers.values()].flat().map(({ offer: { type, version } }) => ({ type, version }));
  }

  /**
   * Gives a caller access to the highest version that fits.
   *
   * @throws PluginHostError `INVALID_ARGUMENT`, `CAPABILITY_NOT_FOUND`, `CAPABILITY_VERSION_MISMATCH`, `NOT_ALLOWED`,
   * `LIMIT_REACHED`, in this order
   */
  request({ caller, type, minVersion, reason }: GrantRequest): NewGrant {
    checkName("capability_type", type);
    const fits = compileVersionRange("min_version", minVersion);
    checkString("reason", reason);
    const reasonBytes = Buffer.byteLength(reason);
    if (reasonBytes > maxReasonBytes) {
      throw invalid("reason", `is ${reasonBytes} bytes long; at most ${maxReasonBytes} are allowed`);
    }
    const offers = this.#offers.get(type);
    if (offers === undefined) {
      throw new PluginHostError("CAPABILITY_NOT_FOUND", `this host does not offer the capability ${type}`);
    }
    const found = offers.find(({ offer }) => fits(offer.version));
    if (found === undefined) {
      const versions = offers.map(({ offer }) => offer.version).join(", ");
      throw new PluginHostError(
        "CAPABILITY_VERSION_MISMATCH",
        `this host has ${type} ${versions}, none of which is ${shown(minVersion)}`,
      );
    }
    const refusal = refusalOf(found.offer, caller, reason);
    if (refusal !== undefined) throw new PluginHostError("NOT_ALLOWED", refusal);
    return {
      ...this.#grants.issue(principalId(caller), { caller, offered: found }),
      type,
      version: found.offer.version,
    };
  }

  /** The grant if the token is its own, it is still good, and its owner is still there. */
  verify(grantId: string, token: string): Grant<Served> | undefined {
    const use = this.#grants.verify(grantId, token);
    if (use === undefined) return undefined;
    const { caller, offered } = use;
    // Its identity may have become part of another one since.
    const present = caller.kind === "plugin" ? this.#ownerOf(caller.runtimeId) : caller;
    if (present !== undefined) return { caller: present, ...offered };
    this.#grants.revokeOwner(principalId(caller));
    return undefined;
  }

  /** A plugin may have ended: if so, its grants end. */
  ownerEnded(runtimeId: RuntimeId): void {
    if (this.#ownerOf(runtimeId) === undefined) this.#grants.revokeOwner(runtimeId);
  }

  /** Forgets grants that have ended. */
  sweep(): void {
    this.#grants.sweep();
  }
}

function refusalOf({ type, authorize }: CheckedOffer, caller: Principal, reason: string): string | undefined {
  const verdict: unknown = authorize?.({ caller, reason });
  if (verdict === undefined || typeof verdict === "string") return verdict;
  // Such as the promise of an async function, which would be taken for a yes or for a no by accident.
  return `authorize of the capability ${type} must return a text or undefined`;
}
