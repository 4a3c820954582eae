import { answerText } from "./plugin-http.js";
import type { PluginProgram } from "./plugin-program.js";
import { isMissing, procedures, type Subject } from "./subject.js";

/** Time beyond the grace in which the end of a process is noticed on a busy machine. */
const toleranceMs = 500;

/** Asks the program to end, over the wire. */
export async function checkShutdown({ http, report }: Subject, program: PluginProgram, graceMs: number): Promise<void> {
  if (!(await askToEnd({ http, report }, graceMs))) {
    report.skip("W-12.5", "it has not acknowledged Shutdown");
    return;
  }
  const startedAt = performance.now();
  const hasEnded = await program.untilEnded(graceMs + toleranceMs);
  const tookMs = Math.round(performance.now() - startedAt);
  report.judge(
    "W-12.5",
    hasEnded ? undefined : `it ran on after ${tookMs} ms`,
    `it ${program.ending} after ${tookMs} ms`,
  );
  if (hasEnded) await checkGroup({ report }, program);
}

/** Sends SIGTERM. */
export async function checkSigterm(report: Subject["report"], program: PluginProgram, graceMs: number): Promise<void> {
  if (program.hasEnded) return;
  const startedAt = performance.now();
  program.terminate();
  const hasEnded = await program.untilEnded(graceMs + toleranceMs);
  const tookMs = Math.round(performance.now() - startedAt);
  report.judge(
    "W-12.6",
    hasEnded ? undefined : `it ran on after ${tookMs} ms`,
    `it ${program.ending} after ${tookMs} ms`,
  );
  if (hasEnded) await checkGroup({ report }, program);
}

/** Asks an endpoint to end. Whether it has acknowledged. */
export async function askToEnd({ http, report }: Pick<Subject, "http" | "report">, graceMs: number): Promise<boolean> {
  try {
    const message = { gracePeriodSeconds: Math.ceil(graceMs / 1_000), reason: "checked" };
    const answer = await http.ask(procedures.shutdown, message);
    if (isMissing(answer)) {
      report.skip("W-12.4", "it has no Shutdown; signals end it, where the host has started it");
      return false;
    }
    const isAcknowledged = answer.status === 200 && /"acknowledged"\s*:\s*true/.test(answer.body.toString("utf8"));
    report.judge("W-12.4", isAcknowledged ? undefined : answerText(answer), "acknowledged");
    return isAcknowledged;
  } catch (error) {
    // What ends because of something else cannot be asked any more.
    if (report.hasFailed()) report.skip("W-12.4", "the plugin had ended by then");
    else report.failWith("W-12.4", error);
    return false;
  }
}

async function checkGroup({ report }: Pick<Subject, "report">, program: PluginProgram): Promise<void> {
  const isGone = await program.untilGroupEnded(toleranceMs);
  report.judge("W-12.7", isGone ? undefined : "processes of its group still run", "nothing is left");
}
