import type { PluginSpec, PluginView } from "../../index.js";
import { ObservedHost } from "../check/observed-host.js";
import { addStandIns } from "../check/stand-in.js";
import { CallsToPlugin } from "./calls-to-plugin.js";
import type { DoctorSection } from "./doctor-report.js";
import { type Examination, start } from "./examination.js";
import { StartWatch } from "./start-watch.js";
import { endpointSteps, moduleSteps, programSteps, type StepTitles, workerSteps } from "./step-titles.js";
import { tellEnd } from "./tell-end.js";
import { tellListening, tellStay } from "./tell-listening.js";
import { secondsText } from "./tell-plugin.js";
import { tellStart } from "./tell-start.js";

/** The steps that a plugin from this source goes through. */
export function stepsFor(spec: PluginSpec): StepTitles {
  if ("command" in spec) return programSteps;
  if ("endpoint" in spec) return endpointSteps;
  return "worker" in spec ? workerSteps : moduleSteps;
}

/**
 * Has a host of its own start the plugin, and tells step by step how that goes. Resolves with what the plugin is if it
 * came up; nothing of it is left then, but for an endpoint, which runs on.
 *
 * @throws CliError `usage`; the signal's reason
 */
export async function examinePlugin(section: DoctorSection, exam: Examination): Promise<PluginView | undefined> {
  const { spec, timeoutMs, graceMs, signal, isOneOfSet } = exam;
  await using host = await ObservedHost.open({ ...exam.hostOptions, stopBudgetMs: graceMs });
  const { platform } = host;
  await addStandIns(platform, exam.standIns);
  using watch = new StartWatch(platform);
  using calls = new CallsToPlugin("endpoint" in spec ? spec.endpoint : undefined);
  exam.progress(`a host of its own starts it; a host waits for ${secondsText(timeoutMs)}`);
  const outcome = await start(platform, exam, watch);
  const { view } = outcome;
  if (view !== undefined) {
    await tellListening(section, view, "command" in spec);
    await tellStay(section, platform, view);
  }
  tellStart(section, { outcome, watch, calls, host, timeoutMs, isOneOfSet });
  signal.throwIfAborted();
  if (view === undefined) {
    section.close("not reached");
    return undefined;
  }
  if ("command" in spec) {
    await tellEnd(section, { platform, exam, watch, calls, view });
  } else {
    const startedAt = performance.now();
    await platform.removePlugin(view.runtimeId, { limits: { graceMs: 0, drainMs: 0, shutdownMs: graceMs } });
    section.ok("shutdown", "it has stopped", performance.now() - startedAt);
  }
  section.close("not looked at");
  return view;
}
