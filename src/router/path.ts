import type { RequestHead } from "../http/exchange.js";
import { checkName } from "../model/limits.js";

/** What a call asks for, read from its path or its `X-Plugin-Target`. */
export interface RouteTarget {
  readonly kind: "target";
  readonly serviceType: string;
  /** Undefined stands for `any`. */
  readonly runtimeId: string | undefined;
  /** What follows the id, without slashes in front, still escaped. */
  readonly rest: string;
  /** The query with its `?`, or empty. */
  readonly query: string;
}

/** A path that is not passed on, and why. */
export interface BadPath {
  readonly kind: "bad-path";
  readonly reason: string;
}

const prefix = "/services/";
const bad = (reason: string): BadPath => ({ kind: "bad-path", reason });

/** Whether a request's path is one of the router's own, that is `/services/…`. */
export const isServicePath = (target: string): boolean =>
  target.startsWith(prefix) || (target.startsWith("//") && target.slice(leadingSlashes(target) - 1).startsWith(prefix));

function leadingSlashes(text: string): number {
  let count = 0;
  while (text.charCodeAt(count) === 0x2f) count++;
  return count;
}

/** Decodes a segment once; undefined if an escape is malformed. Bytes that are no UTF-8 stay what they are. */
function decodeSegment(segment: string): string | undefined {
  if (!segment.includes("%")) return segment;
  if (/%(?![0-9A-Fa-f]{2})/.test(segment)) return undefined;
  // Byte by byte, so that %FF is as good as any other: what matters here are single ASCII characters.
  return segment.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** Whether a decoded segment begins the path of a service that the host alone may call. */
const isReserved = (segment: string): boolean => /^connectplugin\./i.test(segment);

/** Why a path must not go to a provider; undefined if it may. `path` is still escaped and has no query. */
export function pathFault(path: string): string | undefined {
  // Most paths have none of the characters that need a closer look. Servers tell no "Connectplugin." apart by case
  // here, so neither does the quick look.
  if (!/[%\\]|(?:^|\/)(?:\.|connectplugin\.)/i.test(path)) return undefined;
  for (const segment of path.split("/")) {
    const decoded = decodeSegment(segment);
    if (decoded === undefined) return "the path has a malformed percent escape";
    if (decoded === "." || decoded === "..") return 'the path has a segment "." or ".."';
    if (/[/\\\0]/.test(decoded)) return 'the path has a segment that contains "/", "\\" or NUL';
    if (isReserved(decoded)) return "a plugin's connectplugin services are reached by the host only";
  }
  return undefined;
}

/** Splits `rest?query`, as it stands behind the id, and checks both. */
function checkedTarget(
  serviceType: string,
  runtimeId: string | undefined,
  restAndQuery: string,
): RouteTarget | BadPath {
  const question = restAndQuery.indexOf("?");
  const path = question === -1 ? restAndQuery : restAndQuery.slice(0, question);
  const rest = path.slice(leadingSlashes(path));
  const fault = pathFault(rest);
  if (fault !== undefined) return bad(fault);
  return { kind: "target", serviceType, runtimeId, rest, query: question === -1 ? "" : restAndQuery.slice(question) };
}

function checkedService(
  typeSegment: string,
  idSegment: string,
  restAndQuery: string,
  field: string,
): RouteTarget | BadPath {
  const serviceType = decodeSegment(typeSegment);
  const runtimeId = decodeSegment(idSegment);
  if (serviceType === undefined || runtimeId === undefined) return bad(`${field} has a malformed percent escape`);
  if (runtimeId === "") return bad(`${field} must name a runtime id or "any" after the service type`);
  if (/[^!-~]|[/\\]/.test(runtimeId) || runtimeId === "." || runtimeId === "..")
    return bad(`${field} has no usable runtime id`);
  try {
    checkName("service type", serviceType);
  } catch (error) {
    return bad(`${field}: ${(error as Error).message}`);
  }
  return checkedTarget(serviceType, runtimeId === "any" ? undefined : runtimeId, restAndQuery);
}

/** A request target that no server should get: raw control characters, spaces, fragments, or bytes beyond ASCII. */
function targetFault(target: string): BadPath | undefined {
  if (target.charCodeAt(0) !== 0x2f) return bad("the request target must begin with a slash");
  return /[^!-~]|#/.test(target)
    ? bad("the request target must be printable ASCII; escape everything else")
    : undefined;
}

/** Reads `/services/<type>/<id or any>/<rest>`. Slashes are folded in front of `services` and in front of the rest. */
export function parseServicePath(target: string): RouteTarget | BadPath {
  const fault = targetFault(target);
  if (fault !== undefined) return fault;
  const typeAt = leadingSlashes(target) - 1 + prefix.length;
  const question = target.indexOf("?");
  const pathEnd = question === -1 ? target.length : question;
  const typeEnd = target.indexOf("/", typeAt);
  if (typeEnd === -1 || typeEnd >= pathEnd) return bad("the path must be /services/<type>/<runtime id or any>/<rest>");
  const slash = target.indexOf("/", typeEnd + 1);
  const idEnd = slash === -1 || slash > pathEnd ? pathEnd : slash;
  return checkedService(
    target.slice(typeAt, typeEnd),
    target.slice(typeEnd + 1, idEnd),
    target.slice(idEnd),
    "the path",
  );
}

/** Reads a bare method path together with the header `X-Plugin-Target: <type>/<id or any>`. */
export function parseTargetHeader(header: string, target: string): RouteTarget | BadPath {
  const fault = targetFault(target);
  if (fault !== undefined) return fault;
  const parts = header.split("/");
  const [type, id] = parts;
  if (parts.length !== 2 || type === undefined || id === undefined || header.includes("%")) {
    return bad("X-Plugin-Target must be <type>/<runtime id or any>");
  }
  return checkedService(type, id, target, "X-Plugin-Target");
}

/** Reads where a request goes: by its path, else by `X-Plugin-Target`. */
export function parseTarget(head: Pick<RequestHead, "target" | "header">): RouteTarget | BadPath {
  if (isServicePath(head.target)) return parseServicePath(head.target);
  const header = head.header("x-plugin-target");
  return header === undefined ? bad("the path is not one of a service") : parseTargetHeader(header, head.target);
}

/** A target that the host itself chose, for example an ingress. `restAndQuery` comes from the caller. */
export function targetOf(serviceType: string, idOrAny: string, restAndQuery: string): RouteTarget | BadPath {
  if (/[^!-~]|#/.test(restAndQuery)) return bad("the request target must be printable ASCII; escape everything else");
  return checkedTarget(serviceType, idOrAny === "any" ? undefined : idOrAny, restAndQuery);
}
