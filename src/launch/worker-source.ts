import { isAbsolute } from "node:path";
import { pathToFileURL } from "node:url";
import { invalid } from "../errors.js";
import { checkNumber } from "../model/limits.js";

/** Bounds of a worker thread's JavaScript, as Node has them, in MiB. None of them bounds Buffers. */
export interface WorkerLimits {
  /** Heap for objects that live on. A thread that needs more is ended. @default Node's, by the machine's memory */
  readonly maxOldGenerationSizeMb?: number;
  /** Heap for objects that were just made. @default Node's */
  readonly maxYoungGenerationSizeMb?: number;
  /** Memory for generated code. @default Node's */
  readonly codeRangeSizeMb?: number;
  /** Stack of the thread. @default 4 */
  readonly stackSizeMb?: number;
}

/** A module that runs in a worker thread of the host's process. */
export interface WorkerSource {
  /**
   * The module: a `file:` URL, such as `new URL("./cache.js", import.meta.url)`, or an absolute path. Its default export is
   * what `definePlugin` returns.
   */
  readonly worker: URL | string;
  /** What the module finds in `process.argv` behind the first two. @default none */
  readonly args?: readonly string[];
  /**
   * Variables for the module, beside PATH, HOME, LANG and TZ, which the host passes on. Nothing else of the host's environment
   * reaches it. @default none
   */
  readonly env?: Readonly<Record<string, string>>;
  /** Bounds of its JavaScript. */
  readonly resourceLimits?: WorkerLimits;
  /**
   * What the thread may hold outside of its heap, such as Buffers, in MiB. Seen with each answer to the watchdog, so a thread
   * may be beyond for a moment; needs the watchdog. @default unlimited
   */
  readonly maxBufferMb?: number;
  /**
   * How long the thread may answer nothing, because it runs in a loop or waits for something without giving way, before it is
   * ended, in milliseconds; `false` for as long as it likes. Time in which the host itself was busy does not count, nor does
   * any while the process can be debugged (`--inspect`). @default 10_000
   */
  readonly watchdogMs?: number | false;
}

/** A {@link WorkerSource} with its defaults. */
export interface ResolvedWorkerSource {
  readonly module: URL;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly resourceLimits: WorkerLimits;
  readonly maxBufferBytes: number;
  /** Infinity if there is no watchdog. */
  readonly watchdogMs: number;
}

const bytesPerMb = 1_048_576;
const limitNames = ["maxOldGenerationSizeMb", "maxYoungGenerationSizeMb", "codeRangeSizeMb", "stackSizeMb"] as const;

/** Checks a source and fills in its defaults. @throws PluginHostError `INVALID_ARGUMENT` that names the field */
export function resolveWorkerSource(given: WorkerSource): ResolvedWorkerSource {
  const { worker, args = [], env = {}, resourceLimits = {}, maxBufferMb, watchdogMs = 10_000 } = given;
  if (!Array.isArray(args)) throw invalid("args", "must be an array of strings");
  args.forEach((arg, index) => checkText(`args[${index}]`, arg));
  checkObject("env", env);
  for (const [name, value] of Object.entries(env)) {
    if (name === "" || /[=\0]/.test(name))
      throw invalid("env", `has the name ${JSON.stringify(name)}, which is no name`);
    checkText(`env.${name}`, value);
  }
  if (watchdogMs !== false) checkNumber("watchdogMs", watchdogMs, 100);
  if (maxBufferMb !== undefined) checkNumber("maxBufferMb", maxBufferMb, 1);
  if (maxBufferMb !== undefined && watchdogMs === false) {
    throw invalid("maxBufferMb", "needs the watchdog, which watchdogMs switches off");
  }
  return Object.freeze({
    module: moduleUrl(worker),
    args: Object.freeze([...args]),
    env: Object.freeze({ ...env }),
    resourceLimits: checkLimits(resourceLimits),
    maxBufferBytes: maxBufferMb === undefined ? Number.POSITIVE_INFINITY : maxBufferMb * bytesPerMb,
    watchdogMs: watchdogMs === false ? Number.POSITIVE_INFINITY : watchdogMs,
  });
}

function moduleUrl(given: unknown): URL {
  if (typeof given === "string" && isAbsolute(given)) return pathToFileURL(given);
  const url = given instanceof URL ? given : URL.canParse(String(given)) ? new URL(String(given)) : undefined;
  if (url?.protocol === "file:") return url;
  const seen = given instanceof URL ? given.href : typeof given === "string" ? JSON.stringify(given) : typeof given;
  throw invalid(
    "worker",
    `must be a file: URL or an absolute path, got ${seen}; write new URL("./plugin.js", import.meta.url)`,
  );
}

function checkLimits(given: WorkerLimits): WorkerLimits {
  checkObject("resourceLimits", given);
  for (const [name, value] of Object.entries(given)) {
    const field = `resourceLimits.${name}`;
    if (!limitNames.some((known) => known === name)) {
      throw invalid(field, `is not a limit; there is ${limitNames.join(", ")}`);
    }
    if (value !== undefined) checkNumber(field, value, 1);
  }
  return Object.freeze({ ...given });
}

function checkObject(field: string, value: unknown): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid(field, "must be an object");
}

function checkText(field: string, value: unknown): void {
  if (typeof value !== "string") throw invalid(field, `must be a string, got ${typeof value}`);
  if (value.includes("\0")) throw invalid(field, "must not contain a NUL character");
}
