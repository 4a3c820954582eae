import { dropField, dropFields } from "../http/drop-fields.js";
import type { ExchangeHandler, ServerExchange } from "../http/exchange.js";
import { hostSecretHeader } from "../model/host-secret.js";
import type { KnownHost } from "./known-host.js";

/** How a plugin's port treats others than its host. */
export interface HostGuardOptions {
  readonly knownHost: KnownHost;
  /** Whether others may call what the plugin provides. What only the host may do stays refused. */
  readonly directCalls: "refuse" | "allow";
  /** Somebody without the secret wants to give the plugin an identity: its host, if that was restarted, or nobody good. */
  readonly onUnknownHost: () => void;
}

/** What anybody may ask: what the plugin is, and whether it is well. */
const isForAll = (path: string): boolean =>
  path.startsWith("/connectplugin.v1.PluginIdentity/GetPluginInfo") || path.startsWith("/connectplugin.health.v1.");

const setIdentityPath = "/connectplugin.v1.PluginIdentity/SetRuntimeIdentity";

/** What only a host may say; underscores count as hyphens, as many frameworks do not tell one from the other. */
const isHostsOwn = (name: string): boolean => name.toLowerCase().replaceAll("_", "-").startsWith("x-plugin-");

/**
 * Lets the plugin's host through, which shows the secret that both have, and keeps others away from what only the host may do and
 * from saying who calls. A plugin that has no secret takes everybody for its host, as it has to.
 */
export function guardForHost(handler: ExchangeHandler, options: HostGuardOptions): ExchangeHandler {
  const { knownHost, directCalls, onUnknownHost } = options;
  return (exchange) => {
    const { head } = exchange;
    const given = head.header(hostSecretHeader);
    if (!knownHost.isKnown || knownHost.isHost(given)) {
      // For nobody but the plugin itself.
      if (given !== undefined) dropField(exchange, hostSecretHeader);
      return handler(exchange);
    }
    if (head.target === setIdentityPath) onUnknownHost();
    const isControl = head.target.startsWith("/connectplugin.");
    if (isControl ? !isForAll(head.target) : directCalls === "refuse") return refuse(exchange);
    dropFields(exchange, isHostsOwn);
    return handler(exchange);
  };
}

const message = `this plugin takes calls from its host only, which shows a secret in ${hostSecretHeader}; call it through the host`;

/** Refuses in the caller's protocol. */
function refuse(exchange: ServerExchange): void {
  const type = exchange.head.header("content-type") ?? "";
  if (type.startsWith("application/grpc")) {
    return exchange.respond(200, ["content-type", type, "grpc-status", "7", "grpc-message", message], true);
  }
  const body = JSON.stringify({ code: "permission_denied", message });
  exchange.reply(403, ["content-type", "application/json", "content-length", String(Buffer.byteLength(body))], body);
}
