import type { PluginRemote } from "./plugin-remote.js";
import type { Poll } from "./ports.js";

/**
 * Makes a poll out of what the plugin offers: `PluginControl.GetHealth`, else its `health_path`, else whether it accepts
 * a connection. What it does not implement is not asked for again.
 */
export function pollPlugin(remote: PluginRemote, healthPath: () => string | undefined): Poll {
  let hasGetHealth = true;
  return async (signal) => {
    if (hasGetHealth) {
      const health = await remote.getHealth(signal);
      if (health !== "unimplemented") {
        return { kind: "answered", verdict: health.verdict ?? "healthy", reason: health.reason };
      }
      hasGetHealth = false;
    }
    const path = healthPath();
    if (path === undefined) {
      await remote.connect(signal);
      return { kind: "answered", verdict: "healthy", reason: "accepts connections" };
    }
    const status = await remote.getStatus(path, signal);
    const reason = `${path} answers ${status}`;
    return status >= 200 && status < 300
      ? { kind: "answered", verdict: "healthy", reason }
      : { kind: "failed", reason };
  };
}
