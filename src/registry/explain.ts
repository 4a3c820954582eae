import { shown } from "../model/limits.js";
import type { Provider, TypeOffers } from "./provider.js";
import { providerStatus } from "./provider-state.js";
import type { VersionRange } from "./version-range.js";

/** How many providers a reason names. */
export const maxListed = 5;

function listed(texts: readonly string[], total: number): string {
  const more = total > texts.length ? ` and ${total - texts.length} more` : "";
  return `${texts.join("; ")}${more}`;
}

const wantedVersion = (range: VersionRange): string =>
  range.wanted === "" ? "" : ` in version ${shown(range.wanted)}`;

/** A provider's state for people, such as `logger-1f unhealthy: database down`. */
export function describeProvider(provider: Provider): string {
  const { state, reason } = providerStatus(provider);
  return `${provider.plugin.runtimeId} ${state}${reason === "" ? "" : `: ${reason}`}`;
}

/** Why nobody was found: the type has no provider at all. */
export const explainNoProvider = (type: string): string =>
  `no plugin provides ${shown(type)}; add one, or check the service type's name`;

/** Why nobody was found: no version fits. */
export function explainNoCompatibleVersion(type: string, range: VersionRange, offers: TypeOffers): string {
  const versions = new Set<string>();
  for (const offer of offers.byPlugin.values()) for (const { version } of offer.registrations) versions.add(version);
  const texts = [...versions].slice(0, maxListed);
  return `no provider of ${shown(type)} satisfies ${shown(range.wanted)}; there is ${listed(texts, versions.size)}`;
}

/** Why nobody was found: those that fit cannot take calls. Names their states and reasons. */
export function explainNoHealthyProvider(type: string, range: VersionRange, offers: TypeOffers): string {
  const texts: string[] = [];
  let total = 0;
  for (const offer of offers.byPlugin.values()) {
    const provider = range.pick(offer);
    if (provider === undefined) continue;
    total += 1;
    if (texts.length < maxListed) texts.push(describeProvider(provider));
  }
  return `no provider of ${shown(type)}${wantedVersion(range)} can take calls now: ${listed(texts, total)}`;
}

/** Why nobody was found: those that can take calls were excluded by the caller. */
export function explainAllExcluded(type: string, range: VersionRange, excluded: ReadonlySet<string>): string {
  const texts = [...excluded].slice(0, maxListed);
  return `no other provider of ${shown(type)}${wantedVersion(range)} can take calls now; tried ${listed(texts, excluded.size)}`;
}
