import type { ServiceDependency } from "./declarations.js";

/** Where a call goes on its provider, in parts that are looked at and not copied. */
export interface CalledPath {
  /** Path on the provider without query, still escaped. */
  readonly path: string;
  /** Where in `path` the provider's base path ends. */
  readonly from: number;
  /** Takes the call. Its `path` has a slash at both ends. */
  readonly registration: { readonly path: string };
}

/** What a plugin declared that it calls, by service type: the methods, or undefined for all of them. */
export type DeclaredCalls = ReadonlyMap<string, readonly string[] | undefined>;

/** Makes a list of dependencies ready to be asked for each call. What was only observed is no declaration. */
export function declaredCalls(requires: readonly ServiceDependency[]): DeclaredCalls {
  const calls = new Map<string, readonly string[] | undefined>();
  for (const { type, methods = [], source } of requires) {
    if (source !== "declared") continue;
    const before = calls.get(type);
    const hasAll = methods.length === 0 || (calls.has(type) && before === undefined);
    calls.set(type, hasAll ? undefined : [...(before ?? []), ...methods]);
  }
  return calls;
}

/**
 * Whether one of the declared methods is what a call asks for. A method is compared, character for character, with the
 * end of the path from one of these places on:
 *
 * 1. behind the provider's base path, so that `pkg.Service/Method` is the whole path;
 * 2. behind the endpoint path, so that `Method` is enough;
 * 3. the last name in the endpoint path, so that `pkg.Service/Method` is good wherever the service is mounted;
 * 4. for a method without a slash: behind a `pkg.Service/` that follows the endpoint path.
 *
 * A method that ends with a slash stands for everything below it.
 */
export function isDeclaredMethod(methods: readonly string[], { path, from, registration }: CalledPath): boolean {
  const { path: endpointPath } = registration;
  const isBelow = path.startsWith(endpointPath, from);
  const below = from + endpointPath.length;
  const lastName = from + endpointPath.lastIndexOf("/", endpointPath.length - 2) + 1;
  const behindService = isBelow ? afterServiceName(path, below) : -1;
  for (const method of methods) {
    if (isAt(method, path, from + 1)) return true;
    if (isBelow && (isAt(method, path, below) || isAt(method, path, lastName))) return true;
    if (behindService !== -1 && !method.includes("/") && isAt(method, path, behindService)) return true;
  }
  return false;
}

/** Whether `path` goes on with `method` at `start`, and ends there unless the method ends with a slash. */
function isAt(method: string, path: string, start: number): boolean {
  const end = start + method.length;
  return (path.length === end || (path.length > end && method.endsWith("/"))) && path.startsWith(method, start);
}

/** Where the first name from `start` on ends, with its slash, if it can be that of a service; otherwise -1. */
function afterServiceName(path: string, start: number): number {
  const slash = path.indexOf("/", start);
  const dot = path.indexOf(".", start);
  return dot > start && dot < slash ? slash + 1 : -1;
}
