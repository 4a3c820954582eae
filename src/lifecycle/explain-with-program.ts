import { type ErrorCode, PluginHostError } from "../errors.js";
import type { StartedProgram } from "../model/launch.js";

/** How a start ends for which the host has refused the program something. */
const outcomesOfRefusal: readonly ErrorCode[] = [
  "PLUGIN_EXITED",
  "PLUGIN_CRASHED",
  "PLUGIN_NOT_LISTENING",
  "STEP_TIMEOUT",
];

/**
 * A failed start in the light of the program that was launched. What the host refused the program comes first, as it is why
 * the rest happened; what the program wrote last comes with every error.
 */
export function explainWithProgram(
  error: unknown,
  program: StartedProgram,
  refusal: PluginHostError | undefined,
): unknown {
  if (!(error instanceof PluginHostError)) return error;
  const { step, field, cause, details } = error;
  const output = program.lastLines();
  const known = { ...details, pid: program.pid, output: details.output ?? output };
  const shared = { details: known, ...(step !== undefined && { step }), ...(field !== undefined && { field }) };
  if (refusal !== undefined && outcomesOfRefusal.includes(error.code)) {
    const message = `the host refused the plugin: ${refusal.message}; then ${error.message}`;
    return new PluginHostError(refusal.code, message, { ...shared, cause: error });
  }
  // An exit tells the last lines itself, and who called it off does not ask for them.
  if (details.output !== undefined || error.code === "OPERATION_ABORTED")
    return new PluginHostError(error.code, error.message, { ...shared, cause });
  const where = program.address.kind === "http" ? program.address.url : "its address";
  const hint =
    error.code === "STEP_TIMEOUT"
      ? `; process ${program.pid} runs and listens on ${where}, and did not answer in time`
      : "";
  const said = output.length === 0 ? "" : `; it wrote last:\n${output.map((line) => `  ${line}`).join("\n")}`;
  return new PluginHostError(error.code, `${error.message}${hint}${said}`, { ...shared, cause });
}
