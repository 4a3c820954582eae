import { fileURLToPath } from "node:url";
import { type ErrorCode, invalid, PluginHostError } from "../errors.js";
import type { FromWorker } from "../link/worker-messages.js";
import type { LaunchEnd } from "../model/launch.js";
import type { ThreadExit } from "./worker-thread.js";

/** How a run ended that did not end well. */
export interface WorkerFailure extends LaunchEnd {
  readonly error: PluginHostError;
}

/** The name by which errors call a worker's module. */
export const nameOf = (module: URL): string => fileURLToPath(module);

const failure = (
  code: ErrorCode,
  reason: string,
  message: string,
  details: { readonly output: readonly string[] } & Readonly<Record<string, unknown>>,
  cause?: unknown,
): WorkerFailure => {
  const { output } = details;
  const said = output.length === 0 ? "" : `; it wrote last:\n${output.map((line) => `  ${line}`).join("\n")}`;
  return { reason, error: new PluginHostError(code, message + said, { cause, details }) };
};

/** What the thread says of a plugin that it could not start, or that failed. */
export function failedEnd(
  module: URL,
  failed: Extract<FromWorker, { kind: "failed" }>,
  output: readonly string[],
): WorkerFailure {
  const name = nameOf(module);
  if (failed.what === "no-plugin") {
    const error = invalid("worker", `${name} must have what definePlugin returns as its default export`);
    return { reason: error.message, error };
  }
  const did = failed.what === "load" ? `the module ${name} cannot be loaded` : `${name} failed`;
  return failure("PLUGIN_FAILED", failed.message, `${did}: ${failed.message}`, { output });
}

/** `PLUGIN_OUT_OF_MEMORY`, `PLUGIN_FAILED` or `PLUGIN_EXITED`: a thread that ended by what it did itself. */
export function threadEnd(module: URL, { exitCode, error }: ThreadExit, output: readonly string[]): WorkerFailure {
  const name = nameOf(module);
  const details = { exitCode, output };
  if (error === undefined) {
    const did = `ended its thread with code ${exitCode}`;
    return failure("PLUGIN_EXITED", `it ${did}`, `${name} ${did}; a plugin has to run until it is stopped`, details);
  }
  if ((error as NodeJS.ErrnoException).code === "ERR_WORKER_OUT_OF_MEMORY") {
    const did = "has filled its JavaScript heap";
    const message = `${name} ${did}; give it more by resourceLimits, or look for what it keeps`;
    return failure("PLUGIN_OUT_OF_MEMORY", `it ${did}`, message, details, error);
  }
  const did = `threw what nobody caught: ${error.message}`;
  return failure("PLUGIN_FAILED", `it ${did}`, `${name} ${did}`, details, error);
}

/** `PLUGIN_UNRESPONSIVE`: the watchdog has ended the thread. */
export function silentEnd(module: URL, silentMs: number, output: readonly string[]): WorkerFailure {
  const did = `answered nothing for ${Math.round(silentMs)} ms`;
  const message = `${nameOf(module)} ${did} and was ended; look for a loop that does not give way, or raise watchdogMs`;
  return failure("PLUGIN_UNRESPONSIVE", `it ${did}`, message, { silentMs, output });
}

/** `PLUGIN_OUT_OF_MEMORY`: the watchdog has ended the thread for what it holds outside of its heap. */
export function bufferEnd(module: URL, bytes: number, maxBytes: number, output: readonly string[]): WorkerFailure {
  const did = `held ${bytes} bytes outside of its heap`;
  const message = `${nameOf(module)} ${did} and was ended; maxBufferMb allows ${maxBytes}`;
  return failure("PLUGIN_OUT_OF_MEMORY", `it ${did}`, message, { bytes, maxBytes, output });
}

/** `PLUGIN_PROTOCOL`: what came over the thread's link was no such thing. */
export function linkEnd(module: URL, why: string, output: readonly string[]): WorkerFailure {
  const message = `${nameOf(module)} broke its link: ${why}`;
  return failure("PLUGIN_PROTOCOL", `its link broke: ${why}`, message, { output });
}
