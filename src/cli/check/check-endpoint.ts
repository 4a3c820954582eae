import { checkAdded } from "./check-added.js";
import { skipSelfRegistration } from "./check-calls-to-host.js";
import { askToEnd } from "./check-end.js";
import { meet } from "./check-info.js";
import { checkListening } from "./check-listening.js";
import type { CheckTimes } from "./check-program.js";
import type { CheckReport } from "./check-report.js";
import { ObservedHost } from "./observed-host.js";
import { PluginHttp } from "./plugin-http.js";
import { addStandIns, type Needed } from "./stand-in.js";
import { textOf } from "./subject.js";

/** Checks a plugin that runs already. Its process is none of the check's: with `shutdown` it is asked to end at last. */
export async function checkEndpoint(
  url: string,
  report: CheckReport,
  options: CheckTimes & { readonly shutdown: boolean; readonly standIns: readonly Needed[] },
): Promise<void> {
  const needsCommand = "give the command instead of the URL: it needs starts of its own";
  skipSelfRegistration(report, needsCommand);
  for (const clause of ["W-2.3", "W-4.7", "W-11.1", "W-11.2", "W-11.6", "W-12.6", "W-12.7"] as const) {
    report.skip(clause, needsCommand);
  }
  await using host = await ObservedHost.open();
  const http = new PluginHttp(url, options.timeoutMs);
  const subject = await meet(http, report, false);
  if (subject === undefined) return;
  await checkListening(subject, host);
  if (!report.hasFailed()) {
    const requires = subject.info?.requires ?? [];
    const needed = requires.map(({ type, minVersion: version }) => ({ type, version }));
    await addStandIns(host.platform, [...needed, ...options.standIns]);
    await checkAdded(report, "W-2.1", host, { endpoint: url }, options);
  }
  if (!options.shutdown) {
    for (const clause of ["W-12.4", "W-12.5"] as const) report.skip(clause, "--shutdown asks it to end");
    return;
  }
  if (!(await askToEnd(subject, options.graceMs))) return report.skip("W-12.5", "it has not acknowledged Shutdown");
  report.judge("W-12.5", await stillAnswers(http, options.graceMs), "it does not listen any more");
}

async function stillAnswers(http: PluginHttp, graceMs: number): Promise<string | undefined> {
  const endsAt = performance.now() + graceMs + 500;
  for (;;) {
    try {
      await http.ask("/");
    } catch (error) {
      if (/ECONNREFUSED|closed/.test(textOf(error))) return undefined;
    }
    if (performance.now() > endsAt) return "it still listens";
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
