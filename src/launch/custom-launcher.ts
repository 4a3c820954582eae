import { invalid, PluginHostError } from "../errors.js";
import type { Clock, Timer } from "../internal/clock.js";
import { parseBaseUrl } from "../model/base-url.js";
import type { LaunchContext, LaunchEnd, LaunchedPlugin, OutputLine, PluginLauncher } from "../model/launch.js";
import { checkName } from "../model/limits.js";

/** What a {@link CustomLauncher} gets for one start. */
export interface CustomLaunch {
  /** Aborted when the host gives up. What was started until then has to be gone when `launch` settles. */
  readonly signal: AbortSignal;
  /** Tells the host a line that the plugin wrote, without its end. It comes as the event `output`. */
  output(line: string, stream?: OutputLine["stream"]): void;
}

/** A plugin that a {@link CustomLauncher} has started. */
export interface CustomPlugin {
  /** Where it listens, as in `addPlugin({ endpoint })`: `http://host:port`, `https://host:port` or `unix:/path`. */
  readonly endpoint: string;
  /**
   * Settles when the plugin has ended by itself: resolves with why, for people, or rejects with the error. The host starts it
   * again then, if it is to. @default the host sees its end by the polls of its health alone
   */
  readonly ended?: Promise<unknown>;
  /**
   * Makes sure that nothing of the plugin is left, within `graceMs` and a little. Called once. The host has asked the plugin
   * to shut down before that, where there was time.
   */
  stop(graceMs: number): Promise<void>;
}

/**
 * A way of your own to bring a plugin to life, such as in a container or on another machine. The plugin waits to be called
 * by the host (`servePlugin` without `hostUrl` does), who gives it its identity. `launcherContract` of
 * `connect-plugin-host/testing` tells whether a launcher keeps what the host needs.
 */
export interface CustomLauncher {
  /** For messages, such as `docker`: letters, digits, `_`, `.`, `-`. */
  readonly name: string;
  /**
   * Starts one plugin, and resolves when it can be called. Called once for each start, also when the plugin is started
   * again; several may be under way. If it rejects, nothing of the plugin may be left. What it rejects with is told to
   * whoever adds the plugin, a PluginHostError as it is and everything else as `PLUGIN_FAILED`.
   */
  launch(launch: CustomLaunch): Promise<CustomPlugin>;
}

// A launcher that does not hear of the abort must not keep the operation for ever.
const abandonAfterMs = 5_000;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Makes a launcher of somebody else one of ours. @throws PluginHostError `INVALID_ARGUMENT` that names the field */
export function customLauncher(given: CustomLauncher, clock: Clock): PluginLauncher {
  if (typeof given !== "object" || given === null) throw invalid("launcher", `must be an object, got ${String(given)}`);
  const name = checkName("launcher.name", given.name);
  if (typeof given.launch !== "function") throw invalid("launcher.launch", "must be a function");
  return {
    origin: "custom",
    address: undefined,
    declares: undefined,
    launch: async (context) => {
      context.signal.throwIfAborted();
      const started = await untilStarted(name, given, context, clock);
      try {
        const plugin = launched(name, started);
        context.signal.throwIfAborted();
        return plugin;
      } catch (error) {
        await stopAnyway(started);
        throw error;
      }
    },
  };
}

/** What the launcher has started. If the host gives up, the launcher gets some time to take it back. */
async function untilStarted(
  name: string,
  given: CustomLauncher,
  { signal, onOutput }: LaunchContext,
  clock: Clock,
): Promise<CustomPlugin> {
  const output: CustomLaunch["output"] = (line, stream = "stdout") => onOutput({ stream, line, truncated: false });
  const starting = (async () => given.launch({ signal, output }))().catch((cause: unknown) => {
    if (cause instanceof PluginHostError) throw cause;
    throw new PluginHostError("PLUGIN_FAILED", `${name} failed to start the plugin: ${messageOf(cause)}`, { cause });
  });
  let timer: Timer | undefined;
  let onAbort = (): void => {};
  const abandoned = new Promise<never>((_resolve, reject) => {
    onAbort = () => {
      timer = clock.after(abandonAfterMs, () => reject(signal.reason), true);
    };
    signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([starting, abandoned]);
  } catch (error) {
    // Whatever it still brings is not wanted any more.
    starting.then(stopAnyway, () => {});
    throw error;
  } finally {
    timer?.cancel();
    signal.removeEventListener("abort", onAbort);
  }
}

function launched(name: string, started: CustomPlugin): LaunchedPlugin {
  const from = `what launch() of the launcher ${name} resolves with`;
  if (typeof started !== "object" || started === null) throw invalid("launcher.launch", `${from} must be an object`);
  if (typeof started.endpoint !== "string") throw invalid("launcher.launch", `${from} must have an endpoint, a text`);
  if (typeof started.stop !== "function") throw invalid("launcher.launch", `${from} must have a function stop`);
  if (started.ended !== undefined && typeof started.ended?.then !== "function") {
    throw invalid("launcher.launch", `${from} must have a promise as ended, or none`);
  }
  const address = parseBaseUrl(`endpoint of ${from}`, started.endpoint);
  let stopping: Promise<void> | undefined;
  const ended = new Promise<LaunchEnd>((resolve) => {
    const end = (reason: string, error: unknown): void => {
      // Who was told to stop has not ended by itself.
      if (stopping === undefined) resolve({ reason, error });
    };
    started.ended?.then(
      (reason) => end(typeof reason === "string" && reason !== "" ? reason : "it ended", undefined),
      (error: unknown) => end(messageOf(error), error),
    );
  });
  const stop = async (graceMs: number): Promise<void> => {
    try {
      await started.stop(graceMs);
    } catch (cause) {
      throw new PluginHostError("PLUGIN_FAILED", `${name} failed to stop the plugin: ${messageOf(cause)}`, { cause });
    }
  };
  return {
    origin: "custom",
    address,
    ended,
    stop: (graceMs) => {
      stopping ??= stop(graceMs);
      return stopping;
    },
  };
}

async function stopAnyway(started: Partial<CustomPlugin> | undefined): Promise<void> {
  if (typeof started?.stop !== "function") return;
  try {
    await started.stop(0);
  } catch {
    // Why the start failed says more than what came after it.
  }
}
