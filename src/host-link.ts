import type { ConnectionInfo } from "./http/exchange.js";
import { type CloseCode, closeCode } from "./link/frame.js";
import { defaultLinkLimits, type LinkLimits } from "./link/link-limits.js";
import type { LinkSession } from "./link/link-session.js";
import { MessageBudget } from "./link/message-budget.js";
import type { RuntimeId } from "./model/catalog.js";
import type { Principal } from "./model/principal.js";
import type { LinkCaller } from "./router/link-calls.js";

type PluginPrincipal = Extract<Principal, { kind: "plugin" }>;

/** One link of a plugin, with who calls over it. */
export class HostLink {
  /** Set once the session exists, which is before anything can come over it. */
  session: LinkSession | undefined;
  /** Ends the wait for the plugin's end. */
  forgetPlugin: () => void = () => {};
  #caller: LinkCaller & { readonly caller: PluginPrincipal };

  /** @param authority what the plugin called the host when it dialled */
  constructor(principal: PluginPrincipal, connection: ConnectionInfo, authority: string, limits: Partial<LinkLimits>) {
    const bytes = limits.linkWindowBytes ?? defaultLinkLimits.linkWindowBytes;
    const budget = new MessageBudget(bytes);
    this.#caller = { caller: principal, connection: { ...connection, principal }, authority, budget };
  }

  get runtimeId(): RuntimeId {
    return this.#caller.caller.runtimeId;
  }

  get caller(): LinkCaller {
    return this.#caller;
  }

  /** The plugin turned out to be another one that is known already. */
  becomes(principal: PluginPrincipal): void {
    const { connection } = this.#caller;
    this.#caller = { ...this.#caller, caller: principal, connection: { ...connection, principal } };
  }

  end(code: CloseCode, message: string): void {
    this.session?.close(message, code);
  }

  /** No new calls; those open are finished, and after `graceMs` cut off. */
  leave(graceMs: number): void {
    this.session?.close("the host is stopping", closeCode.graceful, graceMs);
  }
}
