import type { Registration } from "../model/catalog.js";
import { pathFault } from "./path.js";

/** Where on a provider a call goes. */
export interface UpstreamPath {
  readonly registration: Registration;
  /** Path without query. */
  readonly path: string;
  /** Where in `path` the provider's base path ends. */
  readonly from: number;
}

/** `pkg.Service` of an endpoint path `/pkg.Service/`; undefined for paths of another form. */
function serviceNameOf(endpointPath: string): string | undefined {
  if (endpointPath.length < 5 || endpointPath.indexOf("/", 1) !== endpointPath.length - 1) return undefined;
  const name = endpointPath.slice(1, -1);
  return name.indexOf(".") > 0 ? name : undefined;
}

/** Whether a call is for a service of a gRPC server as a whole, which stands beside its other services and not under one. */
const isServerWide = (rest: string): boolean => /^grpc\.(?:health|reflection)\.[^/]+\//.test(rest);

/** Whether `rest` begins with the segment `name`. */
const beginsWithSegment = (rest: string, name: string): boolean =>
  rest.startsWith(name) && (rest.length === name.length || rest.charCodeAt(name.length) === 0x2f);

/**
 * Joins base path, endpoint path and rest. A rest that begins with the `pkg.Service/` of a registration goes to that
 * registration and is not put behind its endpoint path a second time; any other goes to the first, the highest version.
 * The standard gRPC health and reflection services are not put behind a `/pkg.Service/` either.
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
  const isBeside = named !== undefined || (isServerWide(rest) && serviceNameOf(registration.path) !== undefined);
  const path = isBeside ? `${basePath}/${rest}` : `${basePath}${registration.path}${rest}`;
  // The rest is checked already; this is for what endpoint and base path bring with them.
  const fault = pathFault(`${basePath}${registration.path}`);
  return fault ?? { registration, path, from: basePath.length };
}
