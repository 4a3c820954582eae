import { PluginHostError, type PluginSource, type PluginView } from "../../index.js";
import { isFailure } from "./check-forwarded.js";
import type { CheckReport } from "./check-report.js";
import { identityHeaders, type ObservedHost } from "./observed-host.js";
import { PluginHttp } from "./plugin-http.js";
import { textOf } from "./subject.js";

/** Nothing tells the names of a plugin's methods. The way to this one is the same, and it has no effect. */
const method = "NoSuchMethodOfTheCheck";
/** What the host puts on answers of its own to calls that have reached nobody (W-9.10). */
const hostsRefusal = "x-plugin-not-sent";

/** Has a real host add the plugin, call it through its router, and remove it. */
export async function checkAdded(
  report: CheckReport,
  clause: "W-2.1" | "W-11.2",
  host: ObservedHost,
  source: PluginSource,
  { timeoutMs, graceMs }: { readonly timeoutMs: number; readonly graceMs: number },
): Promise<void> {
  const limits = { describeMs: timeoutMs, healthMs: timeoutMs, identifyMs: timeoutMs, graceMs: 0, shutdownMs: graceMs };
  let plugin: PluginView;
  try {
    plugin = await host.platform.addPlugin({ ...source, limits });
  } catch (error) {
    const code = error instanceof PluginHostError ? `${error.code} in step ${error.step}: ` : "";
    report.fail(clause, `${code}${textOf(error)}`);
    return;
  }
  report.pass(clause, `added as ${plugin.runtimeId}, ${plugin.health}`);
  await checkCall(report, host, plugin, timeoutMs);
  // An endpoint belongs to somebody else and goes on running.
  if (clause === "W-11.2") await host.platform.removePlugin(plugin.runtimeId, { limits });
}

async function checkCall(
  report: CheckReport,
  host: ObservedHost,
  plugin: PluginView,
  timeoutMs: number,
): Promise<void> {
  if (plugin.provides.length === 0) {
    report.skip("W-9.9", "it provides no service");
    return;
  }
  const caller = await host.identity("check");
  for (const { type, path } of plugin.provides) {
    const answer = await fetch(`${host.url}/services/${type}/${plugin.runtimeId}/${method}`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-connect-plugin-check": "1", ...identityHeaders(caller) },
      body: "{}",
    });
    const text = (await answer.text()).slice(0, 200);
    const seen = `${answer.status} to a method of ${type} that it does not have`;
    const hasArrived = !answer.headers.has(hostsRefusal) && ![502, 503, 504].includes(answer.status);
    const isRight = hasArrived && (!isFailure(answer.status) || (await failsForItsHost(plugin, path, timeoutMs)));
    report.judge("W-9.9", isRight ? undefined : `${seen}: ${text}`, seen);
  }
}

/** Whether the call fails without the host's headers, too, or cannot be made without them: then nothing speaks against forwarded calls. */
async function failsForItsHost({ endpointUrl }: PluginView, path: string, timeoutMs: number): Promise<boolean> {
  if (endpointUrl === undefined || !/^https?:/.test(endpointUrl)) return true;
  const folder = path.endsWith("/") ? path : `${path}/`;
  const answer = await new PluginHttp(endpointUrl, timeoutMs).ask(`${folder}${method}`).catch(() => undefined);
  return answer !== undefined && isFailure(answer.status);
}
