import type { ServiceDependency } from "../model/declarations.js";
import type { LivePlugin } from "./live-plugin.js";
import type { Dependencies } from "./ports.js";

/** The first required dependency of a plugin that cannot be met now, and why; undefined if all can. */
export function missingDependency(
  dependencies: Dependencies,
  { requires, runtimeId }: LivePlugin,
): { readonly dependency: ServiceDependency; readonly problem: string } | undefined {
  for (const dependency of requires) {
    const problem = dependency.required ? dependencies.problemWith(dependency, runtimeId) : undefined;
    if (problem !== undefined) return { dependency, problem };
  }
  return undefined;
}
