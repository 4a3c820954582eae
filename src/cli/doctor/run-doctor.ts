import { toNeeded } from "../check/stand-in.js";
import type { CliContext } from "../context.js";
import { firstSignal } from "../environment.js";
import { exitCodes } from "../exit-codes.js";
import { DoctorOutput } from "./doctor-output.js";
import type { Examination } from "./examination.js";
import { examineConfig } from "./examine-config.js";
import { examinePlugin, stepsFor } from "./examine-plugin.js";
import { lookAtMachine } from "./machine.js";
import { type DoctorOptions, loadModule, readSubject, type Subject } from "./read-subject.js";
import { moduleSteps } from "./step-titles.js";

type Shared = Omit<Examination, "spec">;

/**
 * Examines a plugin, or those of a configuration, step by step, and prints what was found. Nothing is left afterwards, also
 * after a signal.
 *
 * @throws CliError `usage` if there is nothing to examine
 */
export async function runDoctor(
  command: readonly string[],
  options: DoctorOptions,
  context: CliContext,
): Promise<void> {
  const { environment } = context;
  const subject = readSubject(command, options, environment.workingDirectory);
  const standIns = (options.standIn ?? []).map(toNeeded);
  const output = new DoctorOutput(subject.name, options.json === true, context);
  const interrupted = new AbortController();
  const first = firstSignal(environment);
  void first.signal.then((signal) => interrupted.abort(signal));
  const shared: Shared = {
    hostOptions: {},
    timeoutMs: options.timeout ?? 10_000,
    graceMs: options.grace ?? 5_000,
    playsDependencies: options.standIns !== false,
    isOneOfSet: subject.kind === "config",
    standIns,
    signal: interrupted.signal,
    progress: (text) => output.progress(text),
  };
  try {
    if (subject.kind === "config") await examineConfig(subject.file, shared, output, environment);
    else await examineOne(subject, shared, output, context);
  } catch (error) {
    output.clear();
    if (!interrupted.signal.aborted) throw error;
    const signal = interrupted.signal.reason;
    environment.stderr.write(`${signal}: not finished; what was started is stopped\n`);
    return context.endWith(signal === "SIGINT" ? exitCodes.interrupted : exitCodes.terminated);
  } finally {
    first.off();
  }
  if (output.end() > 0) context.endWith(exitCodes.failed);
}

async function examineOne(
  subject: Exclude<Subject, { readonly kind: "config" }>,
  shared: Shared,
  output: DoctorOutput,
  { environment }: CliContext,
): Promise<void> {
  const titles = subject.kind === "module" ? moduleSteps : stepsFor(subject.spec);
  const section = output.section(subject.name, titles);
  section.put("machine", await lookAtMachine());
  const spec =
    subject.kind === "module"
      ? await loadModule(section, subject.specifier, environment.workingDirectory)
      : subject.spec;
  if (spec !== undefined) await examinePlugin(section, { ...shared, spec });
}
