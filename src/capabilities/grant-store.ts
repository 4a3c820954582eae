import { createHash, timingSafeEqual } from "node:crypto";
import { PluginHostError } from "../errors.js";
import type { Clock } from "../internal/clock.js";
import { randomBase64Url, randomHex } from "../internal/ids.js";

/** Settings of a {@link GrantStore}. */
export interface GrantStoreOptions {
  readonly clock: Clock;
  /** How long a grant is good, in milliseconds. */
  readonly ttlMs: number;
  /** Most grants of one owner that may be good at once. */
  readonly maxPerOwner: number;
}

/** A grant with the one copy of its token that ever leaves the store. */
export interface IssuedGrant {
  readonly grantId: string;
  readonly token: string;
}

interface StoredGrant<Use> {
  readonly owner: string;
  readonly use: Use;
  readonly hash: Buffer;
  /** Monotonic milliseconds. */
  readonly goodUntil: number;
}

const hashOf = (token: string): Buffer => createHash("sha256").update(token).digest();

/** The grants that are good now, and what each is for. Only SHA-256 hashes of tokens are kept, and they are compared in constant time. */
export class GrantStore<Use> {
  readonly #options: GrantStoreOptions;
  readonly #grants = new Map<string, StoredGrant<Use>>();
  readonly #idsOf = new Map<string, Set<string>>();

  constructor(options: GrantStoreOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#grants.size;
  }

  /** @throws PluginHostError `LIMIT_REACHED` */
  issue(owner: string, use: Use): IssuedGrant {
    const { clock, ttlMs, maxPerOwner } = this.#options;
    const now = clock.monotonic();
    const ids = this.#idsOf.get(owner) ?? new Set();
    for (const id of ids) if (this.#isOver(id, now)) this.#drop(id);
    if (ids.size >= maxPerOwner) {
      throw new PluginHostError(
        "LIMIT_REACHED",
        `${owner} has ${ids.size} grants, which is the limit; keep a grant until it ends, or raise grants.maxPerPlugin`,
      );
    }
    const grantId = `grant-${randomHex(8)}`;
    const token = randomBase64Url(32);
    this.#grants.set(grantId, { owner, use, hash: hashOf(token), goodUntil: now + ttlMs });
    this.#idsOf.set(owner, ids.add(grantId));
    return { grantId, token };
  }

  /** What a grant is for, if the token is its own and it is still good. */
  verify(grantId: string, token: string): Use | undefined {
    const grant = this.#grants.get(grantId);
    if (grant === undefined || !timingSafeEqual(grant.hash, hashOf(token))) return undefined;
    if (!this.#isOver(grantId, this.#options.clock.monotonic())) return grant.use;
    this.#drop(grantId);
    return undefined;
  }

  /** All grants of an owner end. */
  revokeOwner(owner: string): void {
    for (const id of this.#idsOf.get(owner) ?? []) this.#drop(id);
  }

  /** All grants end that are for what `isIt` says. */
  revokeWhere(isIt: (use: Use) => boolean): void {
    for (const [id, { use }] of this.#grants) if (isIt(use)) this.#drop(id);
  }

  /** Forgets what has ended. */
  sweep(): void {
    const now = this.#options.clock.monotonic();
    for (const id of this.#grants.keys()) if (this.#isOver(id, now)) this.#drop(id);
  }

  #isOver(grantId: string, now: number): boolean {
    const grant = this.#grants.get(grantId);
    return grant === undefined || grant.goodUntil <= now;
  }

  #drop(grantId: string): void {
    const grant = this.#grants.get(grantId);
    if (grant === undefined) return;
    this.#grants.delete(grantId);
    const ids = this.#idsOf.get(grant.owner);
    ids?.delete(grantId);
    if (ids?.size === 0) this.#idsOf.delete(grant.owner);
  }
}
