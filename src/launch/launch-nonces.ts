import { createHash } from "node:crypto";
import { randomBase64Url, randomHex } from "../internal/ids.js";
import { hostSecretOf } from "../model/host-secret.js";

/** The name of one launch, and the secret by which its program shows that it is that program. */
export interface LaunchPass {
  readonly launchId: string;
  /** Stands in front of every path as `/_launch/<nonce>`. A secret. */
  readonly nonce: string;
  /** By which the program knows its host. */
  readonly hostSecret: string;
  /** The launch is over: the nonce means nothing any more. Idempotent. */
  revoke(): void;
}

/** SHA-256 in base64. */
export const hashOfNonce = (nonce: string): string => createHash("sha256").update(nonce).digest("base64");

/** The launches under way or running. Only hashes of nonces are kept; finding one by its hash gives no timing away. */
export class LaunchNonces {
  readonly #launches = new Map<string, string>();
  readonly #hostSecrets = new Map<string, string>();

  /** A new launch. */
  issue(): LaunchPass {
    return this.restore(`launch-${randomHex(8)}`, randomBase64Url(32));
  }

  /** A launch of an earlier host, whose program still runs. */
  restore(launchId: string, nonce: string): LaunchPass {
    const hash = hashOfNonce(nonce);
    const hostSecret = hostSecretOf(nonce);
    this.#launches.set(hash, launchId);
    this.#hostSecrets.set(launchId, hostSecret);
    const revoke = (): void => {
      this.#launches.delete(hash);
      this.#hostSecrets.delete(launchId);
    };
    return { launchId, nonce, hostSecret, revoke };
  }

  /** The launch that a nonce belongs to. */
  launchOf(nonce: string): string | undefined {
    return this.#launches.get(hashOfNonce(nonce));
  }

  /** The secret by which a launch's program knows its host; undefined when the launch is over. */
  hostSecretOf(launchId: string): string | undefined {
    return this.#hostSecrets.get(launchId);
  }
}
