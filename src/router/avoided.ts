import type { RuntimeId } from "../model/catalog.js";
import { avoidField, maxAvoided } from "../model/provider-choice.js";
import type { Caller } from "./decide.js";
import type { BadPath } from "./path.js";

const nobody: ReadonlySet<RuntimeId> = new Set();

/** Whether a caller may say whom it avoids, and is told who was asked. Nobody else's business is who is behind the host. */
export const mayAvoid = (caller: Caller): boolean => "kind" in caller && caller.kind === "plugin";

/**
 * Reads the field `X-Plugin-Avoid` of a caller of whom `mayAvoid` is true. What is no runtime id names nobody. A list that is too long
 * makes the call a bad one: to leave a part of it out would be to choose whom the caller avoids.
 */
export function readAvoided(value: string): ReadonlySet<RuntimeId> | BadPath {
  if (value === "") return nobody;
  const ids = new Set<RuntimeId>();
  for (const part of value.split(",", maxFieldParts)) {
    const id = part.trim();
    if (id !== "") ids.add(id);
    if (ids.size > maxAvoided) {
      return { kind: "bad-path", reason: `${avoidField} may name ${maxAvoided} runtime ids at most` };
    }
  }
  return ids;
}

// Many times more than may be named, so that empty parts and repetitions do not matter, and far fewer than fit into a head.
const maxFieldParts = 4_096;
