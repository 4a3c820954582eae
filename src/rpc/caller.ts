import { createContextKey, type HandlerContext, type Interceptor } from "@connectrpc/connect";
import { PluginHostError } from "../errors.js";
import { guardInterceptor } from "../http/call-guard.js";
import type { ConnectionInfo } from "../http/exchange.js";
import type { Authentication } from "../identity/authenticate.js";
import type { Principal } from "../model/principal.js";
import { toConnectError } from "./codes.js";

/** Who calls, and over what, as the front of the host found it. */
export interface Caller {
  readonly authentication: Authentication;
  readonly connection: ConnectionInfo;
}

/** Where handlers find their caller. The front of the host sets it for each call. */
export const callerKey = createContextKey<Caller | undefined>(undefined, { description: "caller" });

/** The caller of this call. */
export function callerOf(context: HandlerContext): Caller {
  const caller = context.values.get(callerKey);
  if (caller === undefined) throw new Error("the front of the host did not say who calls");
  return caller;
}

/** The calling plugin. @throws PluginHostError `UNAUTHENTICATED` for everybody else */
export function callingPlugin(context: HandlerContext): Extract<Principal, { kind: "plugin" }> {
  const { authentication } = callerOf(context);
  if (authentication.kind === "refused") throw new PluginHostError("UNAUTHENTICATED", authentication.reason);
  if (authentication.principal.kind === "plugin") return authentication.principal;
  throw new PluginHostError(
    "UNAUTHENTICATED",
    "this call needs a plugin's identity: the headers X-Plugin-Runtime-ID and Authorization: Bearer <token>",
  );
}

/** Turns the host's errors into Connect errors, for unary and streaming calls alike. */
export const errorInterceptor: Interceptor = guardInterceptor({ mapError: toConnectError });
