import { stat } from "node:fs/promises";
import type { MessagePort } from "node:worker_threads";
import { PluginHostError } from "../errors.js";
import type { Clock } from "../internal/clock.js";
import type { LaunchedPlugin, LaunchPlugin, PluginLauncher } from "../model/launch.js";
import { scrubbedEnvironment } from "./process-environment.js";
import { workerBootstrap } from "./worker-bootstrap.js";
import { nameOf } from "./worker-errors.js";
import { WorkerRun } from "./worker-run.js";
import { resolveWorkerSource, type WorkerSource } from "./worker-source.js";

/** The host's end of a worker's link. */
export interface WorkerLink {
  /** By this the host finds the link as long as it is nobody's. */
  readonly launchId: string;
  /** Resolves when the worker has greeted; rejects if the link ends before. */
  readonly opened: Promise<void>;
  /** Resolves when the link has ended: with why, if it was for what the worker sent. */
  readonly ended: Promise<string | undefined>;
  /** From now on this plugin is at its other end. */
  belongsTo(plugin: LaunchPlugin): void;
  /** Cuts it off. Idempotent. */
  close(): void;
}

/** What launchers of workers share. */
export interface WorkerLauncherOptions {
  readonly clock: Clock;
  /** The host's own environment. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Takes the link whose bytes come over the port. */
  readonly openLink: (port: MessagePort) => WorkerLink;
}

/**
 * A plugin that runs in a worker thread and is reached over a link on a MessagePort: no port is opened, and nobody else can
 * speak there. Ready when the module is loaded and set up, or waits for its identity, and the link is open.
 *
 * The launch fails with `PLUGIN_FAILED` (the module cannot be loaded, or its setup or other code throws), `INVALID_ARGUMENT` (it
 * holds no plugin), `PLUGIN_EXITED`, `PLUGIN_OUT_OF_MEMORY`, `PLUGIN_UNRESPONSIVE` or `PLUGIN_PROTOCOL`; nothing is left of it then.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names the field
 */
export function workerLauncher(given: WorkerSource, options: WorkerLauncherOptions): PluginLauncher {
  const source = resolveWorkerSource(given);
  const { clock, openLink } = options;
  return {
    origin: "worker",
    address: undefined,
    declares: undefined,
    launch: async ({ signal, onOutput }): Promise<LaunchedPlugin> => {
      await assertFile(source.module);
      const isHalted = await debuggerCheck();
      signal.throwIfAborted();
      const environment = { ...scrubbedEnvironment(options.environment), ...source.env };
      const thread = { ...source, environment, bootstrap: workerBootstrap() };
      const run = new WorkerRun({ source, thread, clock, openLink, isHalted, onLine: onOutput });
      const giveUp = (): void => void run.stop(0).catch(() => {});
      signal.addEventListener("abort", giveUp, { once: true });
      try {
        const link = await run.ready;
        signal.throwIfAborted();
        return {
          origin: "worker",
          address: { kind: "worker", launchId: link.launchId },
          ended: run.ended,
          belongsTo: (plugin) => link.belongsTo(plugin),
          stop: (graceMs, isLeaving) => run.stop(graceMs, isLeaving),
        };
      } catch (error) {
        await run.stop(0);
        signal.throwIfAborted();
        throw error;
      } finally {
        signal.removeEventListener("abort", giveUp);
      }
    },
  };
}

async function assertFile(module: URL): Promise<void> {
  const found = await stat(module).catch(() => undefined);
  if (found?.isFile() === true) return;
  const file = nameOf(module);
  const why = found === undefined ? "there is no such file" : "it is not a file";
  throw new PluginHostError(
    "PLUGIN_FAILED",
    `the module ${file} cannot be loaded: ${why}; build it, or correct worker`,
    {
      details: { file },
    },
  );
}

/** Whether the process can be debugged, which may halt any of its threads. A Node without an inspector cannot. */
async function debuggerCheck(): Promise<() => boolean> {
  try {
    const { url } = await import("node:inspector");
    return () => url() !== undefined;
  } catch {
    return () => false;
  }
}
