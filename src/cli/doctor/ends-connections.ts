import type { PluginHostError } from "../../index.js";

// What is seen of a connection that was accepted, and ended by the other side.
const ended: ReadonlySet<unknown> = new Set(["ECONNRESET", "EPIPE"]);

/** Whether the plugin accepted the host's connection and ended it instead of an answer. */
export function endsConnections({ code, step, cause }: PluginHostError): boolean {
  if (code !== "PLUGIN_UNREACHABLE" || step === "health") return false;
  for (let error = cause; error instanceof Error; error = error.cause) {
    if ("code" in error && ended.has(error.code)) return true;
  }
  return false;
}
