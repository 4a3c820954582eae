import type { ServerExchange } from "../http/exchange.js";
import type { CallAccount } from "./call-account.js";
import type { Refuse } from "./decide.js";
import type { ForwardContext } from "./forward-context.js";
import { sendError } from "./protocol-error.js";

/** Answers a call with a refusal in its protocol, and tells of it. */
export function refuseCall(
  context: Pick<ForwardContext, "onCall">,
  exchange: ServerExchange,
  account: CallAccount,
  refusal: Refuse,
): void {
  account.provider = refusal.provider?.plugin;
  account.failed(refusal, "refused");
  exchange.onEnd(() => context.onCall(account.event()));
  if (exchange.ended !== undefined) return;
  account.status = sendError(exchange, account.protocol, account.withProvider(account.notSent(refusal)));
}
