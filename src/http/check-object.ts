import { invalid } from "../errors.js";
import { shownValue } from "../model/limits.js";

/**
 * Refuses what is no object of options, and names in it that are no options: a misspelt one would have no effect.
 *
 * @param prefix what stands in front of an option's name in messages. @default the field and a dot
 * @throws PluginHostError `INVALID_ARGUMENT` that names the field
 */
export function checkObject(field: string, given: unknown, known: readonly string[], prefix = `${field}.`): void {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    // A text may be a key or a secret that was to be inside of the object.
    throw invalid(field, `must be an object, got ${typeof given === "string" ? "a text" : shownValue(given)}`);
  }
  for (const name of Object.keys(given)) {
    if (!known.includes(name)) throw invalid(`${prefix}${name}`, `is not an option; there is ${known.join(", ")}`);
  }
}
