import { PluginHostError } from "./errors.js";
import type { LivePlugin } from "./lifecycle/live-plugin.js";
import { UpstreamTls, type UpstreamTlsOptions } from "./router/upstream-tls.js";

/**
 * Uses other certificates for connections from now on to a plugin that was added with `tls` of its own.
 *
 * @throws PluginHostError `TLS_OFF` for another plugin, `INVALID_ARGUMENT`; nothing has changed then
 */
export function replaceUpstreamTls(
  { runtimeId, address }: Pick<LivePlugin, "runtimeId" | "address">,
  given: UpstreamTlsOptions,
): void {
  const own = address.kind === "http" ? address.tls : undefined;
  if (own instanceof UpstreamTls) return own.replace(given);
  throw new PluginHostError("TLS_OFF", `${runtimeId} was added without tls; the settings of all providers hold for it`);
}
