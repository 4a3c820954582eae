// What a worker thread runs that a host has started: loads the plugin's module and starts it behind the thread's link.
import { type MessagePort, workerData } from "node:worker_threads";
import type { WorkerModule } from "../link/hosted-module.js";
import type { FromWorker, ToWorker, WorkerLaunch } from "../link/worker-messages.js";

const { module, link, control } = workerData as WorkerLaunch;
const say = (message: FromWorker): void => control.postMessage(message);
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

let stop: (graceMs: number) => void = () => {};
control.on("message", (message: ToWorker) => {
  if (message.kind === "ping") say({ kind: "pong", externalBytes: process.memoryUsage().external });
  else stop(message.graceMs);
});
// The thread lives as long as its plugin, which the link keeps alive.
control.unref();

const plugin = await load();
if (plugin !== undefined) await run(plugin, link);

async function load(): Promise<WorkerModule | undefined> {
  try {
    const loaded = (await import(module)) as { readonly default?: Partial<WorkerModule> };
    if (typeof loaded.default?.startInWorker === "function") return loaded.default as WorkerModule;
    say({ kind: "failed", what: "no-plugin", message: "" });
  } catch (error) {
    // A syntax error's place is told nowhere but in front of its stack.
    const at = error instanceof SyntaxError ? /^(file:\S+:\d+)\n/.exec(error.stack ?? "")?.[1] : undefined;
    say({ kind: "failed", what: "load", message: messageOf(error) + (at === undefined ? "" : ` (${at})`) });
  }
  return undefined;
}

async function run(plugin: WorkerModule, port: MessagePort): Promise<void> {
  say({ kind: "loaded" });
  const failed = (error: unknown): void => say({ kind: "failed", what: "start", message: messageOf(error) });
  try {
    const running = await plugin.startInWorker({ port });
    stop = (graceMs) => void running.stop(graceMs);
    running.ended.then(() => say({ kind: "ended" }), failed);
    say({ kind: "ready" });
  } catch (error) {
    failed(error);
  }
}
