import type { RuntimeId } from "../model/catalog.js";
import type { ServiceDependency } from "../model/declarations.js";
import type { Dependencies } from "./ports.js";

/** A required dependency that cannot be met now. */
export interface MissingDependency {
  readonly dependency: ServiceDependency;
  /** Why not. */
  readonly problem: string;
}

/** The first of them, which nobody but `own` could meet; undefined if all can be met. */
export function missingDependency(
  dependencies: Dependencies,
  requires: readonly ServiceDependency[],
  own: RuntimeId | undefined,
): MissingDependency | undefined {
  for (const dependency of requires) {
    const problem = dependency.required ? dependencies.problemWith(dependency, own) : undefined;
    if (problem !== undefined) return { dependency, problem };
  }
  return undefined;
}
