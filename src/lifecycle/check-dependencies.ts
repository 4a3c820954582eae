import { PluginHostError } from "../errors.js";
import type { RuntimeId } from "../model/catalog.js";
import type { PluginDeclaration } from "../model/declarations.js";
import { missingDependency } from "./missing-dependency.js";
import type { Dependencies } from "./ports.js";

/**
 * Refuses a plugin that what there is now cannot let start. `own` is its place in the graph if it has one already.
 *
 * @throws PluginHostError `DEPENDENCY_MISSING`, `DEPENDENCY_CYCLE`, tested in that order
 */
export function checkDependencies(
  dependencies: Dependencies,
  { selfId, provides, requires }: PluginDeclaration,
  own: RuntimeId | undefined,
): void {
  const missing = missingDependency(dependencies, requires, own);
  if (missing !== undefined) {
    const { type, minVersion } = missing.dependency;
    throw new PluginHostError(
      "DEPENDENCY_MISSING",
      `${selfId} requires ${type}: ${missing.problem}; add a provider first, or make it optional`,
      { details: { type, minVersion } },
    );
  }
  const cycle = dependencies.cycleWith({ id: own ?? selfId, name: selfId, provides, requires });
  if (cycle === undefined) return;
  throw new PluginHostError(
    "DEPENDENCY_CYCLE",
    `plugins wait for each other: ${cycle.join(" -> ")}; mark one of these dependencies optional`,
    { details: { path: cycle } },
  );
}
