import { timingSafeEqual } from "node:crypto";
import { hostSecretOf } from "../model/host-secret.js";
import type { HostAddress } from "./host-address.js";

/** By what a plugin tells its host from everybody else who reaches its port. */
export class KnownHost {
  #secret: Buffer | undefined;

  /** Whether the plugin has a secret to go by. */
  get isKnown(): boolean {
    return this.#secret !== undefined;
  }

  /** Takes the secret that the host gave; an empty one means that this host gives none. */
  learn(secret: string): void {
    this.#secret = secret === "" ? undefined : Buffer.from(secret);
  }

  /** Whether a request carries the secret. Takes as long whatever is wrong with it. */
  isHost(given: string | undefined): boolean {
    if (this.#secret === undefined || given === undefined) return false;
    const bytes = Buffer.from(given);
    return bytes.length === this.#secret.length && timingSafeEqual(bytes, this.#secret);
  }
}

/** The secret of a program that its host has launched, known to both before the first call; empty for any other. */
export function launchSecret(host: HostAddress | undefined): string {
  const nonce = /^\/_launch\/([\w-]+)$/.exec(host?.prefix ?? "")?.[1];
  return nonce === undefined ? "" : hostSecretOf(nonce);
}
