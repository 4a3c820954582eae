import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { onTestFinished } from "vitest";
import { Platform, type PlatformOptions, type WorkerSource } from "../../src/index.js";
import { builtExamples } from "./built-examples.js";

/** A module of test/support/worker-plugins, as it is once compiled. */
export const workerModule = (name: "probe" | "relay" | "looper" | "caller" | "steady" | "strict"): URL =>
  pathToFileURL(join(builtExamples(), "test", "support", "worker-plugins", `${name}.js`));

/** The probe in a worker thread. */
export const workerProbe = (given: Partial<WorkerSource> = {}): WorkerSource => ({
  worker: workerModule("probe"),
  ...given,
});

/** A platform that listens nowhere and is stopped with the test. */
export function quietPlatform(options: PlatformOptions = {}): Platform {
  const platform = new Platform(options);
  onTestFinished(() => platform.stop());
  return platform;
}

/** Ports of worker threads, and what else of theirs keeps this process going. */
export const openThreads = (): number =>
  process.getActiveResourcesInfo().filter((name) => /worker|messageport/i.test(name)).length;

/** Resolves when no more is open than `count`; rejects after two seconds. A port takes a turn or two to close. */
export async function untilThreadsEnd(count: number): Promise<void> {
  const endsAt = performance.now() + 2_000;
  while (openThreads() > count) {
    if (performance.now() > endsAt) throw new Error(`${openThreads()} are open, ${count} should be`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
