import type { FieldList, RequestHead } from "../http/exchange.js";
import type { CallProtocol } from "../model/call-event.js";
import { hostSecretHeader } from "../model/host-secret.js";
import { type Principal, principalId } from "../model/principal.js";
import { deadlineField, remainingDeadline } from "./deadline.js";
import { isHopByHop, namedByConnection, passedTrailers } from "./hop-by-hop.js";
import type { TrustedProxies } from "./trusted-proxies.js";

/** What the host knows of one call when it writes the head for the provider. */
export interface RequestHop {
  readonly caller: Principal;
  readonly serviceType: string;
  readonly protocol: CallProtocol;
  /** `traceparent` of this hop. */
  readonly traceparent: string;
  /** Whether the caller's trace goes on, so that its `tracestate` still belongs to it. */
  readonly traceContinued: boolean;
  /** Milliseconds since the call arrived, taken off the deadline that goes on. */
  readonly elapsedMs: number;
  /** Whether trailers may follow the request's body. */
  readonly trailersPossible: boolean;
  /** By what the provider knows this host; undefined for one that does not check it, and for calls over a link. */
  readonly hostSecret?: string | undefined;
}

/** The part of the router's options that decides on fields. */
export interface HeaderOptions {
  readonly publicHost: string;
  readonly trustedProxies: TrustedProxies;
  readonly stripUserCredentials: boolean;
  readonly viaName: string;
}

const viaVersion = (version: RequestHead["httpVersion"]): string => (version === "2" ? "2.0" : version);

/** This host's entry in `Via`. */
export const viaEntry = (version: RequestHead["httpVersion"], name: string): string => `${viaVersion(version)} ${name}`;

/**
 * Whether a field claims what only the host may say. Underscores count as hyphens: many frameworks do not tell one
 * from the other.
 */
export function isHostsOwn(name: string): boolean {
  const first = name.charCodeAt(0);
  if (first === 0x66) return name === "forwarded";
  if (first !== 0x78) return false;
  const plain = name.includes("_") ? name.replaceAll("_", "-") : name;
  return plain.startsWith("x-plugin-") || plain.startsWith("x-forwarded-");
}

/** Makes any text fit for a field value: what is not printable ASCII is percent-encoded, and so is `%`, so that no two look alike. */
function fieldValue(text: string): string {
  if (/^[!-$&-~]*$/.test(text)) return text;
  const escaped = (byte: string): string => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
  return Buffer.from(text, "utf8")
    .toString("latin1")
    .replace(/[^!-$&-~]/g, escaped);
}

/**
 * The fields towards a provider, without `Host`, which the connection adds. Everything of one connection, everything
 * that a caller could forge and every plugin's credentials are left out; the caller's identity, its address, `Via`, the
 * trace and what is left of the deadline are put in.
 */
export function requestFields(head: RequestHead, hop: RequestHop, options: HeaderOptions): string[] {
  const { fields } = head;
  const named = namedByConnection(fields);
  const timeField = deadlineField(hop.protocol);
  const trusted = options.trustedProxies(head.connection.remoteAddress);
  const dropsAuthorization =
    hop.caller.kind === "plugin" || (hop.caller.kind === "ingress" && options.stripUserCredentials);
  const dropsCookies = hop.caller.kind === "ingress" && options.stripUserCredentials;
  const out: string[] = [];
  let via: string | undefined;
  let cookie: string | undefined;
  let hasDeadline = false;
  let hasTe = false;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    const value = fields[i + 1] as string;
    switch (name) {
      case "te":
        // gRPC sends it to detect proxies that lose trailers; this one does not.
        if (!hasTe && /(?:^|,)\s*trailers\s*(?:$|[,;])/i.test(value)) {
          // node:http2 refuses to send it twice.
          out.push("te", "trailers");
          hasTe = true;
        }
        continue;
      case "host":
      case "expect":
      case "traceparent":
        continue;
      case "tracestate":
        if (!hop.traceContinued) continue;
        break;
      case "via":
        via = via === undefined ? value : `${via}, ${value}`;
        continue;
      case "trailer":
        if (!hop.trailersPossible) continue;
        break;
      case "authorization":
        if (dropsAuthorization) continue;
        break;
      case "cookie":
        // HTTP/2 may split it; HTTP/1.1 knows one field only (RFC 9113, 8.2.3).
        if (!dropsCookies) cookie = cookie === undefined ? value : `${cookie}; ${value}`;
        continue;
      case "grpc-timeout":
      case "connect-timeout-ms":
        if (name === timeField) {
          if (!hasDeadline) out.push(name, remainingDeadline(name, value, hop.elapsedMs));
          hasDeadline = true;
          continue;
        }
        break;
      default:
        break;
    }
    if (isHopByHop(name) || isHostsOwn(name) || name.startsWith(":") || named?.has(name) === true) continue;
    out.push(name, value);
  }
  if (cookie !== undefined && named?.has("cookie") !== true) out.push("cookie", cookie);
  const own = viaEntry(head.httpVersion, options.viaName);
  out.push("via", via === undefined ? own : `${via}, ${own}`);
  out.push("traceparent", hop.traceparent, "x-plugin-caller-id", fieldValue(principalId(hop.caller)));
  if (hop.caller.kind === "plugin") out.push("x-plugin-caller-self-id", fieldValue(hop.caller.selfId));
  out.push("x-plugin-service", hop.serviceType);
  if (hop.hostSecret !== undefined) out.push(hostSecretHeader, hop.hostSecret);
  pushForwarded(out, head, trusted, options.publicHost);
  return out;
}

/** The trailers towards the provider, without those that a caller could forge. `head` are the fields of its request's head. */
export const requestTrailers = (trailers: FieldList, head: FieldList): FieldList =>
  passedTrailers(trailers, head, isHostsOwn);

function pushForwarded(out: string[], head: RequestHead, trusted: boolean, publicHost: string): void {
  const { remoteAddress, encrypted } = head.connection;
  const before = trusted ? head.header("x-forwarded-for") : undefined;
  if (before !== undefined) out.push("x-forwarded-for", remoteAddress === "" ? before : `${before}, ${remoteAddress}`);
  else if (remoteAddress !== "") out.push("x-forwarded-for", remoteAddress);
  out.push(
    "x-forwarded-proto",
    (trusted ? head.header("x-forwarded-proto") : undefined) ?? (encrypted ? "https" : "http"),
  );
  const host =
    (trusted ? head.header("x-forwarded-host") : undefined) ?? (head.authority === "" ? publicHost : head.authority);
  if (host !== "") out.push("x-forwarded-host", host);
}
