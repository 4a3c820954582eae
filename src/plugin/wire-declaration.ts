import type { ResolvedDefinition } from "./resolve-definition.js";

/** All that a plugin provides and requires, for the wire. */
export const toWireDeclaration = ({ provides, requires }: Pick<ResolvedDefinition, "provides" | "requires">) => ({
  provides: provides.map(({ type, version, path }) => ({ type, version, path })),
  requires: requires.map(({ type, minVersion, required, watch, methods = [] }) => ({
    type,
    minVersion,
    requiredForStartup: required,
    watchForChanges: watch,
    methods: [...methods],
  })),
});
