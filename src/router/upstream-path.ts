import type { Registration } from "../model/catalog.js";
import { pathFault } from "./path.js";

/** Where on a provider a call goes. */
export interface UpstreamPath {
  readonly registration: Registration;
  /** Path without query. */
  readonly path: string;
}

/** `pkg.Service` of an endpoint path `/pkg.Service/`; undefined for paths of another form. */
function serviceNameOf(endpointPath: string): string | undefined {
  if (endpointPath.length < 5 || endpointPath.indexOf("/", 1) !== endpointPath.length - 1) return undefined;
  const name = endpointPath.slice(1, -1);
  return name.indexOf(".") > 0 ? name : undefined;
}

/** Whether `rest` begins with the segment `name`. */
const beginsWithSegment = (rest: string, name: string): boolean =>
  rest.startsWith(name) && (rest.length === name.length || rest.charCodeAt(name.length) === 0x2f);

/**
 * Joins base path, endpoint path and rest. A rest that begins with the `pkg.Service/` of a registration goes to that
 * registration and is not put behind its endpoint path a second time; any other goes to the first, the highest version.
 * Returns the reason instead if the joined path must not be called.
 *
 * @param registrations highest version first, never empty
 * @param basePath of the provider's address, without a trailing slash
 */
export function upstreamPath(
  registrations: readonly Registration[],
  basePath: string,
  rest: string,
): UpstreamPath | string {
  const named = registrations.find((candidate) => {
    const name = serviceNameOf(candidate.path);
    return name !== undefined && beginsWithSegment(rest, name);
  });
  const registration = named ?? (registrations[0] as Registration);
  const path = named === undefined ? `${basePath}${registration.path}${rest}` : `${basePath}/${rest}`;
  // The rest is checked already; this is for what endpoint and base path bring with them.
  const fault = pathFault(`${basePath}${registration.path}`);
  return fault ?? { registration, path };
}
