import { createHash } from "node:crypto";
import { randomBase64Url, randomHex } from "../internal/ids.js";

/** The name of one launch, and the secret by which its program shows that it is that program. */
export interface LaunchPass {
  readonly launchId: string;
  /** Stands in front of every path as `/_launch/<nonce>`. A secret. */
  readonly nonce: string;
  /** The launch is over: the nonce means nothing any more. Idempotent. */
  revoke(): void;
}

const hashOf = (nonce: string): string => createHash("sha256").update(nonce).digest("base64");

/** The launches under way or running. Only hashes of nonces are kept; finding one by its hash gives no timing away. */
export class LaunchNonces {
  readonly #launches = new Map<string, string>();

  /** A new launch. */
  issue(): LaunchPass {
    const launchId = `launch-${randomHex(8)}`;
    const nonce = randomBase64Url(32);
    const hash = hashOf(nonce);
    this.#launches.set(hash, launchId);
    return { launchId, nonce, revoke: () => void this.#launches.delete(hash) };
  }

  /** The launch that a nonce belongs to. */
  launchOf(nonce: string): string | undefined {
    return this.#launches.get(hashOf(nonce));
  }
}
