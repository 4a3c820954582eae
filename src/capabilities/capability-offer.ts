import type { ConnectRouter } from "@connectrpc/connect";
import { invalid } from "../errors.js";
import type { FetchFunction } from "../http/fetch-handler.js";
import { checkName } from "../model/limits.js";
import type { Principal } from "../model/principal.js";
import { checkVersion } from "../model/versions.js";

/** One request for a capability on which `authorize` of its offer decides. */
export interface CapabilityRequest {
  /** A plugin; with `grants.allowAnonymous` anybody. */
  readonly caller: Principal;
  /** What for, as the caller says; may be empty. */
  readonly reason: string;
}

interface CapabilityBase {
  /** Capability type, with the limits of a service type. */
  readonly type: string;
  /** Semantic version. Several versions of one type may be offered; who asks gets the highest that fits. */
  readonly version: string;
  /** Undefined if the caller may have it, otherwise the reason why not. Synchronous. @default everybody may */
  readonly authorize?: (request: CapabilityRequest) => string | undefined;
}

/**
 * Something that the host itself offers to plugins, by type and version: Connect services, a function, or what a plugin
 * provides. All of them find out who calls by the header `X-Plugin-Caller-ID`, as a plugin's services do.
 */
export type CapabilityOffer = CapabilityBase &
  (
    | {
        /** Registers Connect services. Called once, at once. Messages are up to 4 MiB unless the service sets another limit. */
        readonly routes: (router: ConnectRouter) => void;
      }
    | {
        /** Answers requests; their URL has the path behind the grant. */
        readonly fetch: FetchFunction;
      }
    | {
        /** A service type. Calls go to any of its providers, as from the plugin that has the grant. */
        readonly serviceType: string;
      }
  );

/** The part of an offer that differs from kind to kind. */
export type CapabilityTarget =
  | { readonly kind: "routes"; readonly routes: (router: ConnectRouter) => void }
  | { readonly kind: "fetch"; readonly fetch: FetchFunction }
  | { readonly kind: "service"; readonly serviceType: string };

/** An offer that was checked. */
export interface CheckedOffer {
  readonly type: string;
  readonly version: string;
  readonly authorize: ((request: CapabilityRequest) => string | undefined) | undefined;
  readonly target: CapabilityTarget;
}

const names = ["type", "version", "authorize", "routes", "fetch", "serviceType"];
const oneOfThree = "must have exactly one of routes, fetch and serviceType";

/** @throws PluginHostError `INVALID_ARGUMENT` that names the field */
export function checkOffer(field: string, given: CapabilityOffer): CheckedOffer {
  if (typeof given !== "object" || given === null) throw invalid(field, `must be an object, got ${String(given)}`);
  const unknown = Object.keys(given).find((name) => !names.includes(name));
  if (unknown !== undefined) throw invalid(`${field}.${unknown}`, `is not known; there is ${names.join(", ")}`);
  const type = checkName(`${field}.type`, given.type);
  const version = checkVersion(`${field}.version`, given.version);
  const { authorize } = given;
  if (authorize !== undefined && typeof authorize !== "function") {
    throw invalid(`${field}.authorize`, "must be a function");
  }
  return Object.freeze({ type, version, authorize, target: targetOf(field, given) });
}

function targetOf(field: string, given: CapabilityOffer): CapabilityTarget {
  // Callers without types can pass several of them.
  const { routes, fetch, serviceType } = given as {
    readonly [Name in "routes" | "fetch" | "serviceType"]?: unknown;
  };
  if ([routes, fetch, serviceType].filter((value) => value !== undefined).length !== 1)
    throw invalid(field, oneOfThree);
  if (serviceType !== undefined) {
    return { kind: "service", serviceType: checkName(`${field}.serviceType`, serviceType as string) };
  }
  const [name, value] = routes === undefined ? ["fetch", fetch] : ["routes", routes];
  if (typeof value !== "function") throw invalid(`${field}.${name}`, "must be a function");
  return routes === undefined
    ? { kind: "fetch", fetch: fetch as FetchFunction }
    : { kind: "routes", routes: routes as (router: ConnectRouter) => void };
}
