import type { ResolvedService } from "./resolve-definition.js";

/** The first service type for which `given`, which `setup` returned, has no implementation; undefined if there are all. */
export function missingImplementation(
  provides: readonly ResolvedService[],
  given: Readonly<Record<string, unknown>>,
): string | undefined {
  return provides.find(({ type, kind }) => {
    const expected = kind.name === "connect" ? "object" : "function";
    return typeof given[type] !== expected || given[type] === null;
  })?.type;
}
