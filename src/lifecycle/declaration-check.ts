import { invalid, PluginHostError } from "../errors.js";
import type { PluginDeclaration, ServiceDeclaration, ServiceDependency } from "../model/declarations.js";
import { checkEndpointPath, checkMetadata, checkMethods, checkName } from "../model/limits.js";
import { checkVersion, compileVersionRange } from "../model/versions.js";

/**
 * Checks everything in a declaration and returns a copy in normal form (paths with slashes at both ends).
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names the field below `field`
 */
export function checkDeclaration(field: string, given: PluginDeclaration): PluginDeclaration {
  checkName(`${field}.selfId`, given.selfId.replaceAll(" ", "-"));
  if (given.selfVersion !== "") checkVersion(`${field}.selfVersion`, given.selfVersion);
  checkLength(`${field}.provides`, given.provides);
  checkLength(`${field}.requires`, given.requires);
  return {
    selfId: given.selfId,
    selfVersion: given.selfVersion,
    provides: given.provides.map((service, i) => checkService(`${field}.provides[${i}]`, service)),
    requires: given.requires.map((dependency, i) => checkDependency(`${field}.requires[${i}]`, dependency)),
    metadata: checkMetadata(`${field}.metadata`, given.metadata),
    ...(given.silentOn !== undefined && { silentOn: given.silentOn }),
  };
}

const maxEntries = 100;

function checkLength(field: string, { length }: readonly unknown[]): void {
  if (length > maxEntries) throw invalid(field, `has ${length} entries; at most ${maxEntries} are allowed`);
}

function checkService(field: string, { type, version, path }: ServiceDeclaration): ServiceDeclaration {
  return {
    type: checkName(`${field}.type`, type),
    version: checkVersion(`${field}.version`, version),
    path: checkEndpointPath(`${field}.path`, path),
  };
}

function checkDependency(field: string, dependency: ServiceDependency): ServiceDependency {
  checkName(`${field}.type`, dependency.type);
  compileVersionRange(`${field}.minVersion`, dependency.minVersion);
  const methods = checkMethods(`${field}.methods`, dependency.methods ?? []);
  return { ...dependency, ...(methods.length > 0 && { methods }) };
}

/**
 * What the caller declared for a plugin against what the plugin says of itself. The plugin's own word is returned; where
 * it says nothing, the caller's.
 *
 * @throws PluginHostError `DECLARATION_MISMATCH` with the first difference
 */
export function reconcile(declared: PluginDeclaration | undefined, actual: PluginDeclaration): PluginDeclaration {
  if (declared === undefined) return actual;
  const differ = (what: string, wanted: string, got: string): never => {
    throw new PluginHostError(
      "DECLARATION_MISMATCH",
      `the plugin's ${what} is ${got}, but ${wanted} was declared for it; correct one of the two`,
    );
  };
  if (declared.selfId !== actual.selfId) differ("self id", `"${declared.selfId}"`, `"${actual.selfId}"`);
  if (declared.selfVersion !== "" && actual.selfVersion !== "" && declared.selfVersion !== actual.selfVersion) {
    differ("version", declared.selfVersion, actual.selfVersion);
  }
  const services = (list: readonly ServiceDeclaration[]): string =>
    list
      .map(({ type, version }) => `${type}@${version}`)
      .sort()
      .join(", ") || "nothing";
  const dependencies = (list: readonly ServiceDependency[]): string =>
    list
      .map(({ type, minVersion, required, methods = [] }) => {
        const only = methods.length === 0 ? "" : ` (${[...methods].sort().join(", ")})`;
        return `${dependencyName({ type, minVersion })}${required ? "" : "?"}${only}`;
      })
      .sort()
      .join(", ") || "nothing";
  const provides = actual.provides.length === 0 ? declared.provides : actual.provides;
  const requires = actual.requires.length === 0 ? declared.requires : withMethodsOf(declared.requires, actual.requires);
  if (services(declared.provides) !== services(provides)) {
    differ("list of services", services(declared.provides), services(provides));
  }
  const wanted = withMethodsOf(requires, declared.requires);
  if (dependencies(wanted) !== dependencies(requires)) {
    differ("list of dependencies", dependencies(wanted), dependencies(requires));
  }
  const { selfId, selfVersion, metadata } = actual;
  return { selfId, selfVersion, provides, requires, metadata };
}

const dependencyName = ({ type, minVersion }: Pick<ServiceDependency, "type" | "minVersion">): string =>
  `${type}@${minVersion}`;

/** The second list; where it names no methods, those of the first: who narrows what a plugin may call need not be both. */
function withMethodsOf(
  narrower: readonly ServiceDependency[],
  dependencies: readonly ServiceDependency[],
): readonly ServiceDependency[] {
  const known = new Map(narrower.map((dependency) => [dependencyName(dependency), dependency.methods]));
  return dependencies.map((dependency) => {
    const methods = dependency.methods ?? known.get(dependencyName(dependency));
    return methods === undefined ? dependency : { ...dependency, methods };
  });
}
