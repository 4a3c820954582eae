import { compileVersionRange, type VersionTest } from "../model/versions.js";
import { BoundedCache } from "./bounded-cache.js";
import type { Offer, Provider } from "./provider.js";

const maxRanges = 256;
const maxVersionsPerRange = 128;

/** A compiled range that remembers its answers: thousands of providers share few versions. */
export class VersionRange {
  readonly wanted: string;
  readonly #test: VersionTest;
  readonly #answers = new BoundedCache<string, boolean>(maxVersionsPerRange);

  /** @throws PluginHostError `INVALID_ARGUMENT` that names `minVersion` */
  constructor(wanted: string) {
    this.wanted = wanted;
    this.#test = compileVersionRange("minVersion", wanted);
  }

  satisfiedBy(version: string): boolean {
    if (this.wanted === "") return true;
    let answer = this.#answers.get(version);
    if (answer === undefined) {
      answer = this.#test(version);
      this.#answers.set(version, answer);
    }
    return answer;
  }

  /** The highest version of an offer that fits. */
  pick(offer: Offer): Provider | undefined {
    return offer.providers.find((provider) => this.satisfiedBy(provider.registration.version));
  }
}

/** Compiles each range once, as long as it is in use. Holds a bounded number of ranges. */
export class VersionRanges {
  readonly #ranges = new BoundedCache<string, VersionRange>(maxRanges);

  /** @throws PluginHostError `INVALID_ARGUMENT` that names `minVersion` */
  get(wanted: string): VersionRange {
    let range = this.#ranges.get(wanted);
    if (range === undefined) {
      range = new VersionRange(wanted);
      this.#ranges.set(wanted, range);
    }
    return range;
  }
}
