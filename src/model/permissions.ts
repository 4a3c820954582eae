import type { PluginDeclaration } from "./declarations.js";
import { type CalledPath, type DeclaredCalls, declaredCalls, isDeclaredMethod } from "./declared-calls.js";
import { shown } from "./limits.js";

/**
 * What plugins may do that they did not declare. `declared`: who said what it requires or provides is held to that; whoever has not
 * said, is let through and observed. `strict`: who has not said may do nothing. `off`: nobody is held to anything.
 */
export type PermissionPolicy = "declared" | "strict" | "off";

/** What a plugin may do by its own declaration. */
export interface Permissions {
  /** Undefined while the plugin has not said what it requires. */
  readonly calls: DeclaredCalls | undefined;
  /** Service types; undefined while the plugin has not said what it provides. */
  readonly provides: ReadonlySet<string> | undefined;
}

/** Of a plugin that has said nothing. */
export const unknownPermissions: Permissions = Object.freeze({ calls: undefined, provides: undefined });

/** What a declaration permits. Where it says nothing, what was said before counts. */
export function permissionsOf(
  { provides, requires, silentOn = [] }: PluginDeclaration,
  before: Permissions = unknownPermissions,
): Permissions {
  return {
    calls: silentOn.includes("requires") ? before.calls : declaredCalls(requires),
    provides: silentOn.includes("provides") ? before.provides : new Set(provides.map(({ type }) => type)),
  };
}

/**
 * Why the plugin may not call `type`, for people; undefined if it may. Asked for each call, so it takes no more than two look-ups
 * where all methods are declared, and makes no object.
 *
 * @param called undefined for discovering and watching, and where no provider was found: any declared method will do then
 */
export function callRefusal(
  policy: PermissionPolicy,
  runtimeId: string,
  { calls }: Permissions,
  type: string,
  called: CalledPath | undefined,
): string | undefined {
  if (policy === "off") return undefined;
  if (calls === undefined) return policy === "strict" ? unknownCalls(runtimeId, type) : undefined;
  const methods = calls.get(type);
  if (methods !== undefined) {
    if (called === undefined || isDeclaredMethod(methods, called)) return undefined;
    return undeclaredMethod(runtimeId, type, methods, called);
  }
  if (calls.has(type)) return undefined;
  const what = JSON.stringify(type);
  return `${runtimeId} does not declare that it requires ${what}; add { type: ${what} } to its requires`;
}

/** Why a plugin may not register a service of `type`, for people; undefined if it may. */
export function registrationRefusal(
  policy: PermissionPolicy,
  runtimeId: string,
  { provides }: Permissions,
  type: string,
): string | undefined {
  if (policy === "off") return undefined;
  const what = JSON.stringify(type);
  if (provides === undefined) {
    if (policy !== "strict") return undefined;
    return `${runtimeId} has not said what it provides, and this host is strict; ${howToSay}, with { type: ${what} } in its provides`;
  }
  if (provides.has(type)) return undefined;
  return `${runtimeId} does not declare that it provides ${what}; add { type: ${what} } to its provides`;
}

const howToSay = "send a declaration in its handshake, or add the plugin with declares";

const unknownCalls = (runtimeId: string, type: string): string =>
  `${runtimeId} has not said what it requires, and this host is strict; ${howToSay}, with { type: ${JSON.stringify(type)} } in its requires`;

function undeclaredMethod(runtimeId: string, type: string, methods: readonly string[], called: CalledPath): string {
  const { path, from, registration } = called;
  const endpointPath = registration.path;
  const method = path.slice(path.startsWith(endpointPath, from) ? from + endpointPath.length : from + 1);
  const declared = methods.length > 5 ? `${methods.length} others` : methods.join(", ");
  return (
    `${runtimeId} does not declare that it calls ${shown(method)} of ${JSON.stringify(type)}, only ${declared}; ` +
    `add it to the methods of ${JSON.stringify(type)} in its requires`
  );
}
