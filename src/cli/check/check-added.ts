import { PluginHostError, type PluginSource, type PluginView } from "../../index.js";
import type { CheckReport } from "./check-report.js";
import { identityHeaders, type ObservedHost } from "./observed-host.js";
import { textOf } from "./subject.js";

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
  await checkCall(report, host, plugin);
  // An endpoint belongs to somebody else and goes on running.
  if (clause === "W-11.2") await host.platform.removePlugin(plugin.runtimeId, { limits });
}

async function checkCall(report: CheckReport, host: ObservedHost, plugin: PluginView): Promise<void> {
  const [service] = plugin.provides;
  if (service === undefined) {
    report.skip("W-9.9", "it provides no service");
    return;
  }
  const caller = await host.identity("check");
  const answer = await fetch(`${host.url}/services/${service.type}/${plugin.runtimeId}/NoSuchMethodOfTheCheck`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-connect-plugin-check": "1", ...identityHeaders(caller) },
    body: "{}",
  });
  const text = (await answer.text()).slice(0, 200);
  const isOwn = ![502, 503, 504].includes(answer.status);
  const seen = `${answer.status} to a method that it does not have`;
  report.judge("W-9.9", isOwn ? undefined : `${seen}: ${text}`, seen);
}
