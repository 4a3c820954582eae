import { createContextValues, type HandlerContext } from "@connectrpc/connect";
import type { ConnectionInfo } from "../../src/http/exchange.js";
import type { Authentication } from "../../src/identity/authenticate.js";
import type { Principal } from "../../src/model/principal.js";
import { callerKey } from "../../src/rpc/caller.js";
import { requestHead } from "./request-head.js";

/** A context for calling an implementation directly, as the front of the host would fill it. */
export function rpcContext(
  caller: Principal | { readonly refused: string; readonly otherwise?: Principal },
  given: { readonly connection?: Partial<ConnectionInfo>; readonly signal?: AbortSignal } = {},
): HandlerContext {
  const authentication: Authentication =
    "refused" in caller
      ? { kind: "refused", reason: caller.refused, otherwise: caller.otherwise ?? { kind: "anonymous" } }
      : { kind: "principal", principal: caller };
  const { connection } = requestHead(given.connection === undefined ? {} : { connection: given.connection });
  return {
    values: createContextValues().set(callerKey, { authentication, connection }),
    signal: given.signal ?? new AbortController().signal,
  } as HandlerContext;
}
