import { checkDeclaration } from "./lifecycle/declaration-check.js";
import type { LivePlugin } from "./lifecycle/live-plugin.js";
import type { Dependencies, Impact } from "./lifecycle/ports.js";
import type { RuntimeId } from "./model/catalog.js";
import type { PluginDeclaration } from "./model/declarations.js";
import { type DeclaredPlugin, toDeclaration } from "./plugin-source.js";

/** An operation to think through. */
export type PlannedOperation =
  | { readonly kind: "add"; readonly declaration: PluginDeclaration }
  | { readonly kind: "remove"; readonly runtimeId: RuntimeId }
  | { readonly kind: "replace"; readonly runtimeId: RuntimeId; readonly declaration: PluginDeclaration };

/** An operation to think through, as callers say it. */
export type OperationToPlan =
  | { readonly add: DeclaredPlugin }
  | { readonly remove: RuntimeId }
  | { readonly replace: RuntimeId; readonly with: DeclaredPlugin };

/** Checks what a caller wants to plan. @throws PluginHostError `INVALID_ARGUMENT` */
export function toPlannedOperation(operation: OperationToPlan): PlannedOperation {
  if ("add" in operation) return { kind: "add", declaration: checkDeclaration("add", toDeclaration(operation.add)) };
  if ("remove" in operation) return { kind: "remove", runtimeId: operation.remove };
  const declaration = checkDeclaration("with", toDeclaration(operation.with));
  return { kind: "replace", runtimeId: operation.replace, declaration };
}

/** What an operation would do. */
export interface Plan {
  /** Names of its steps, in order. */
  readonly steps: readonly string[];
  /** Who would break. */
  readonly impact: Impact;
  /** Why it would fail; empty if nothing speaks against it now. */
  readonly problems: readonly string[];
}

/** What a plan looks at. */
export interface PlanView {
  readonly dependencies: Dependencies;
  /** @throws PluginHostError `PLUGIN_NOT_FOUND` */
  committed(runtimeId: RuntimeId): LivePlugin;
}

const steps = {
  add: ["validate", "describe", "identify", "register", "health", "graph", "announce"],
  remove: ["impact", "notify", "unregister", "shutdown", "forget"],
  replace: ["start", "health", "register", "switch", "drain", "shutdown", "forget"],
} as const;

const nobody: Impact = Object.freeze({ affectedServices: [], affectedPlugins: [], optionalImpact: [] });

/** Thinks an operation through without doing anything. @throws PluginHostError `PLUGIN_NOT_FOUND` */
export function planOperation(operation: PlannedOperation, view: PlanView): Plan {
  switch (operation.kind) {
    case "add":
      return { steps: steps.add, impact: nobody, problems: startProblems(operation.declaration, view) };
    case "remove": {
      const { runtimeId } = view.committed(operation.runtimeId);
      return { steps: steps.remove, impact: view.dependencies.impact(runtimeId), problems: [] };
    }
    case "replace": {
      const { runtimeId } = view.committed(operation.runtimeId);
      const missing = view.dependencies.missingAfterReplace(runtimeId, operation.declaration.provides);
      const lost = missing.map(
        ({ dependant, type, minVersion }) =>
          `${dependant} requires ${type} ${minVersion || "(any version)"}, which the new plugin does not offer`,
      );
      const impact: Impact = {
        affectedServices: [...new Set(missing.map(({ type }) => type))],
        affectedPlugins: [...new Set(missing.map(({ dependant }) => dependant))],
        optionalImpact: [],
      };
      return { steps: steps.replace, impact, problems: [...startProblems(operation.declaration, view), ...lost] };
    }
  }
}

function startProblems(declaration: PluginDeclaration, { dependencies }: PlanView): string[] {
  const missing = declaration.requires.flatMap((dependency) => {
    const problem = dependency.required ? dependencies.problemWith(dependency) : undefined;
    return problem === undefined ? [] : [`it requires ${dependency.type}: ${problem}`];
  });
  const { selfId, provides, requires } = declaration;
  const cycle = dependencies.cycleWith({ id: selfId, name: selfId, provides, requires });
  return cycle === undefined ? missing : [...missing, `plugins would wait for each other: ${cycle.join(" -> ")}`];
}
