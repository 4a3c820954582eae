import { type Platform, type PlatformOptions, PluginHostError, type PluginSpec, type PluginView } from "../../index.js";
import { addStandIns, type Needed } from "../check/stand-in.js";
import { CliError } from "../cli-error.js";
import { exitCodes } from "../exit-codes.js";
import type { StartWatch } from "./start-watch.js";

/** What is examined, and how. */
export interface Examination {
  readonly spec: PluginSpec;
  /** Of the host that the plugin is started by. */
  readonly hostOptions: PlatformOptions;
  /** What a host waits for a plugin that starts. Here it gets longer, to tell who is slow from who hangs. */
  readonly timeoutMs: number;
  /** What the plugin gets to end. */
  readonly graceMs: number;
  /** Whether what the plugin requires is played. Otherwise it fails for it, as in an empty host. */
  readonly playsDependencies: boolean;
  /** Whether others of its set are looked at later, which may provide what it requires. */
  readonly isOneOfSet: boolean;
  /** Services that are played from the start. */
  readonly standIns: readonly Needed[];
  /** Aborted when the person has had enough. */
  readonly signal: AbortSignal;
  /** Tells a person who waits what is going on. */
  progress(text: string): void;
}

/** How a start came out. */
export interface StartOutcome {
  readonly view: PluginView | undefined;
  readonly error: PluginHostError | undefined;
  /** What was missing, and was played. */
  readonly played: readonly Needed[];
}

const patience = 3;

// Each start finds one thing more that is missing.
const mostStarts = 20;

/** What a host is told to do, in the words of its options. */
const specOf = ({ spec, timeoutMs, signal }: Examination): PluginSpec => ({
  ...spec,
  // What ends has ended: how is what we want to see.
  restart: false,
  signal,
  limits: {
    identifyMs: timeoutMs,
    healthMs: timeoutMs * patience,
    ...spec.limits,
    describeMs: timeoutMs * patience,
  },
});

/**
 * Has the host add the plugin. What is missing of its dependencies is played by a stand-in, and the plugin started again.
 *
 * @throws CliError `usage` for a source that cannot be a plugin; the signal's reason
 */
export async function start(platform: Platform, exam: Examination, watch: StartWatch): Promise<StartOutcome> {
  const played: Needed[] = [];
  for (;;) {
    watch.reset();
    try {
      return { view: await platform.addPlugin(specOf(exam)), error: undefined, played };
    } catch (error) {
      exam.signal.throwIfAborted();
      if (!(error instanceof PluginHostError)) throw error;
      if (isUnusable(error)) throw new CliError(exitCodes.usage, error.message, { hostCode: error.code });
      const missing = exam.playsDependencies ? missingIn(error) : undefined;
      if (missing === undefined || played.length === mostStarts) return { view: undefined, error, played };
      played.push(missing);
      await addStandIns(platform, [missing]);
    }
  }
}

/** A value of the command line or the configuration that no plugin has any part in. */
const isUnusable = ({ code, field, step }: PluginHostError): boolean =>
  code === "INVALID_ARGUMENT" && field !== "cwd" && step === undefined;

/** The dependency for the lack of which a start failed. One that a stand-in with the lowest fitting version does not meet stays. */
function missingIn({ code, details: { type, minVersion } }: PluginHostError): Needed | undefined {
  if (code !== "DEPENDENCY_MISSING" || typeof type !== "string") return undefined;
  return { type, version: typeof minVersion === "string" ? minVersion : "" };
}
