import { invalid } from "../errors.js";

/**
 * Refuses what is no object of options, and names in it that are no options: a misspelt one would have no effect.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names the field
 */
export function checkObject(field: string, given: unknown, known: readonly string[]): void {
  if (typeof given !== "object" || given === null || Array.isArray(given)) throw invalid(field, "must be an object");
  for (const name of Object.keys(given)) {
    if (!known.includes(name)) throw invalid(`${field}.${name}`, `is not an option; there is ${known.join(", ")}`);
  }
}
