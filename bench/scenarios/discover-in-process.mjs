// How much slower a provider is found when there are many.
import assert from "node:assert/strict";
import { registryWith } from "../lib/catalog.mjs";
import { alternate, ratePerSecond } from "../lib/statistics.mjs";

export const title = "discover in process, 10 and 10,000 providers";
export const tools = [];

export async function run({ rounds }) {
  const registries = { "10 providers": registryWith(10).registry, "10,000 providers": registryWith(10_000).registry };
  for (const registry of Object.values(registries)) {
    assert.equal(registry.discover("echo", { minVersion: "1.0.0" }).registration.type, "echo");
  }
  const purposes = ["discover", "route"];
  const contestants = {};
  for (const purpose of purposes) {
    for (const [name, registry] of Object.entries(registries)) {
      contestants[`${purpose}, ${name}`] = () => ratePerSecond(() => registry.discover("echo", { purpose }));
    }
  }
  for (const measure of Object.values(contestants)) measure();
  const values = await alternate(rounds, contestants);
  const ratios = purposes.map((purpose) => ({
    name: `${purpose}: 10,000 / 10`,
    ratio: values[`${purpose}, 10,000 providers`].median / values[`${purpose}, 10 providers`].median,
    atLeast: 0.5,
  }));
  return { unit: "1/s", values, ratios };
}
