import type { Clock } from "../internal/clock.js";
import { addressKey, type PluginAddress } from "../model/address.js";
import type { PluginRecord } from "../model/catalog.js";
import type { ResolvedRouterOptions } from "./options.js";
import { ProviderPool } from "./provider-pool.js";
import { targetAddress } from "./target-address.js";

/** All connections to providers, by address. */
export class ProviderConnections {
  readonly #clock: Clock;
  readonly #options: ResolvedRouterOptions;
  readonly #byKey = new Map<string, ProviderPool>();
  /** The same pools by the address object, so that a call parses no URL. */
  #byAddress = new WeakMap<PluginAddress, ProviderPool>();

  constructor(clock: Clock, options: ResolvedRouterOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  /** The pool of a plugin's address; undefined for one that cannot be called. */
  poolOf(plugin: PluginRecord): ProviderPool | undefined {
    let pool = this.#byAddress.get(plugin.address);
    pool ??= this.#open(plugin.address);
    pool?.used(plugin);
    return pool;
  }

  /** The path in an address, without a trailing slash; empty for one that cannot be called. */
  basePathOf(plugin: PluginRecord): string {
    return this.poolOf(plugin)?.target.basePath ?? "";
  }

  /** Closes the connections to an address: idle ones now, the others when their calls are over. */
  close(address: PluginAddress): void {
    const key = addressKey(address);
    if (key === undefined) return;
    const pool = this.#byKey.get(key);
    this.#byKey.delete(key);
    // The map by address cannot be searched by pool; it fills again by itself.
    this.#byAddress = new WeakMap();
    pool?.close();
  }

  /** Certificates were replaced: closes the connections made with old ones, idle ones now, the others when their calls are over. */
  renew(): void {
    for (const pool of this.#byKey.values()) pool.renew();
  }

  closeAll(): void {
    for (const pool of this.#byKey.values()) pool.close();
    this.#byKey.clear();
    this.#byAddress = new WeakMap();
  }

  #open(address: PluginAddress): ProviderPool | undefined {
    const key = addressKey(address);
    const target = targetAddress(address, this.#options.tls);
    if (key === undefined || target === undefined) return undefined;
    let pool = this.#byKey.get(key);
    // Two records may name one address with different protocols or certificates; what the one says that is called counts.
    const isOther = String(pool?.target.protocols) !== String(target.protocols) || pool?.target.tls !== target.tls;
    if (pool === undefined || isOther) {
      pool?.close();
      pool = new ProviderPool(target, this.#clock, this.#options);
      this.#byKey.set(key, pool);
    }
    this.#byAddress.set(address, pool);
    return pool;
  }
}
