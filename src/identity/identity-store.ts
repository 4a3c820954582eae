import { hash, timingSafeEqual } from "node:crypto";
import { PluginHostError } from "../errors.js";
import type { Clock } from "../internal/clock.js";
import { randomBase64Url, randomHex } from "../internal/ids.js";
import type { RuntimeId } from "../model/catalog.js";

/** Settings of an {@link IdentityStore}. */
export interface IdentityStoreOptions {
  readonly clock: Clock;
  /** How long a token stays good after the last proof of life, in milliseconds. */
  readonly tokenTtlMs: number;
  /** How long an old token stays good after a new one was issued, in milliseconds. */
  readonly tokenOverlapMs: number;
  /** Most identities that may exist at once. */
  readonly maxIdentities: number;
}

/** An identity with the one copy of its token that ever leaves the store. */
export interface IssuedIdentity {
  readonly runtimeId: RuntimeId;
  readonly token: string;
}

/** What the store knows of a runtime id. */
export interface Identity {
  readonly runtimeId: RuntimeId;
  readonly selfId: string;
  readonly selfVersion: string;
  /** Milliseconds of the clock's monotonic time. */
  readonly issuedAt: number;
}

interface StoredToken {
  readonly hash: Buffer;
  /** Monotonic time after which the token is refused although its owner lives; undefined for the newest token. */
  readonly goodUntil: number | undefined;
}

interface StoredIdentity extends Identity {
  tokens: readonly StoredToken[];
  lastProofAt: number;
}

/** A plugin that renews its token all the time keeps this many of the old ones, and no more. */
const maxTokensPerIdentity = 16;

// By way of a text: asked for a buffer, node takes four times as long.
const hashOf = (token: string): Buffer => Buffer.from(hash("sha256", token, "binary"), "latin1");

/** A self id as the beginning of a runtime id (wire contract, Identity). */
const slug = (selfId: string): string => selfId.toLowerCase().replaceAll(" ", "-");

/**
 * Issues runtime ids and tokens and checks them. Only SHA-256 hashes of tokens are kept, and they are
 * compared in constant time. A token's life counts from the last proof of life of its owner.
 */
export class IdentityStore {
  readonly #options: IdentityStoreOptions;
  readonly #identities = new Map<RuntimeId, StoredIdentity>();
  /** Runtime ids whose program turned out to be another identity's. */
  readonly #mergedInto = new Map<RuntimeId, RuntimeId>();
  /** Expired identities that nobody was told of yet. */
  readonly #expired: RuntimeId[] = [];

  constructor(options: IdentityStoreOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#identities.size;
  }

  /**
   * A new identity with its first token.
   *
   * @throws PluginHostError `LIMIT_REACHED`
   */
  issue(selfId: string, selfVersion: string): IssuedIdentity {
    if (this.#identities.size >= this.#options.maxIdentities) this.#dropExpired();
    if (this.#identities.size >= this.#options.maxIdentities) {
      throw new PluginHostError(
        "LIMIT_REACHED",
        `${this.#identities.size} identities exist, which is the limit; remove plugins or raise maxIdentities`,
      );
    }
    // 64 random bits: nobody guesses one, and none comes twice in the life of a store.
    const runtimeId = `${slug(selfId)}-${randomHex(8)}`;
    const token = randomBase64Url(32);
    const now = this.#options.clock.monotonic();
    this.#identities.set(runtimeId, {
      runtimeId,
      selfId,
      selfVersion,
      issuedAt: now,
      lastProofAt: now,
      tokens: [{ hash: hashOf(token), goodUntil: undefined }],
    });
    return { runtimeId, token };
  }

  /** A new token for an identity; its older ones stay good for the overlap. Undefined if there is no such identity. */
  rotate(runtimeId: RuntimeId): string | undefined {
    const identity = this.#identities.get(this.#resolve(runtimeId));
    if (identity === undefined) return undefined;
    const token = randomBase64Url(32);
    const now = this.#options.clock.monotonic();
    const overlapEnds = now + this.#options.tokenOverlapMs;
    const old = identity.tokens
      .map((stored) => ({ ...stored, goodUntil: Math.min(stored.goodUntil ?? overlapEnds, overlapEnds) }))
      .filter((stored) => stored.goodUntil > now);
    identity.tokens = [...old, { hash: hashOf(token), goodUntil: undefined }].slice(-maxTokensPerIdentity);
    identity.lastProofAt = now;
    return token;
  }

  /** The identity if the token is its own and still good; counts as a proof of life. */
  verify(runtimeId: RuntimeId, token: string): Identity | undefined {
    const identity = this.#identities.get(this.#resolve(runtimeId));
    if (identity === undefined) return undefined;
    const now = this.#options.clock.monotonic();
    if (this.#isExpired(identity, now)) return undefined;
    const given = hashOf(token);
    let good = false;
    for (const stored of identity.tokens) {
      const same = timingSafeEqual(stored.hash, given);
      if (same && (stored.goodUntil === undefined || stored.goodUntil > now)) good = true;
    }
    if (!good) return undefined;
    identity.lastProofAt = now;
    return identity;
  }

  /**
   * A function that says what `verify` would, each time it is called. It looks at the token itself only when the identity's
   * tokens have changed since it did. Keeps the token's hash.
   */
  verifier(runtimeId: RuntimeId, token: string): () => Identity | undefined {
    const given = hashOf(token);
    let known:
      | { readonly identity: StoredIdentity; readonly tokens: readonly StoredToken[]; goodUntil: number }
      | undefined;
    return () => {
      const identity = this.#identities.get(this.#resolve(runtimeId));
      if (identity === undefined) return undefined;
      const now = this.#options.clock.monotonic();
      if (this.#isExpired(identity, now)) return undefined;
      if (known?.identity !== identity || known.tokens !== identity.tokens) {
        const stored = identity.tokens.filter(({ hash }) => timingSafeEqual(hash, given));
        const goodUntil = Math.max(...stored.map((token) => token.goodUntil ?? Number.POSITIVE_INFINITY));
        known = { identity, tokens: identity.tokens, goodUntil };
      }
      if (known.goodUntil <= now) return undefined;
      identity.lastProofAt = now;
      return identity;
    };
  }

  get(runtimeId: RuntimeId): Identity | undefined {
    return this.#identities.get(this.#resolve(runtimeId));
  }

  /** How long the identity's owner has given no sign of life, in milliseconds; undefined if there is no such identity. */
  silentMs(runtimeId: RuntimeId): number | undefined {
    const identity = this.#identities.get(this.#resolve(runtimeId));
    return identity && this.#options.clock.monotonic() - identity.lastProofAt;
  }

  /** The identity's owner was seen alive. */
  proveAlive(runtimeId: RuntimeId): void {
    const identity = this.#identities.get(this.#resolve(runtimeId));
    if (identity !== undefined) identity.lastProofAt = this.#options.clock.monotonic();
  }

  /** Both identities belong to one program: the tokens of `from` count for `into` from now on. */
  merge(from: RuntimeId, into: RuntimeId): void {
    const source = this.#identities.get(from);
    const target = this.#identities.get(into);
    if (source === undefined || target === undefined || source === target) return;
    target.tokens = [...target.tokens, ...source.tokens];
    target.lastProofAt = Math.max(target.lastProofAt, source.lastProofAt);
    this.#identities.delete(from);
    for (const [earlier, to] of this.#mergedInto) if (to === from) this.#mergedInto.set(earlier, into);
    this.#mergedInto.set(from, into);
  }

  /** All tokens of the identity die at once. Idempotent. */
  revoke(runtimeId: RuntimeId): void {
    const id = this.#resolve(runtimeId);
    this.#identities.delete(id);
    for (const [from, into] of this.#mergedInto) if (into === id) this.#mergedInto.delete(from);
  }

  /**
   * Forgets identities without a proof of life for as long as a token lives. Returns the runtime ids of all that were
   * forgotten since the last call, for whoever keeps something for them.
   */
  expire(): RuntimeId[] {
    this.#dropExpired();
    return this.#expired.splice(0);
  }

  #dropExpired(): void {
    const now = this.#options.clock.monotonic();
    for (const identity of this.#identities.values()) {
      if (!this.#isExpired(identity, now)) continue;
      this.#expired.push(identity.runtimeId);
      this.revoke(identity.runtimeId);
    }
  }

  #isExpired(identity: StoredIdentity, now: number): boolean {
    return now - identity.lastProofAt >= this.#options.tokenTtlMs;
  }

  #resolve(runtimeId: RuntimeId): RuntimeId {
    return this.#mergedInto.get(runtimeId) ?? runtimeId;
  }
}
