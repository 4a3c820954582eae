import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { onTestFinished } from "vitest";
import { Platform, type PlatformOptions, type ProcessSource } from "../../src/index.js";
import { groupMembers } from "../../src/launch/process-group.js";
import type { ServeOptions } from "../../src/plugin/index.js";
import { builtExamples } from "./built-examples.js";
import type { CompiledLibrary } from "./compiled-library.js";

const folder = join(import.meta.dirname, "process-plugins");

/** The probe plugin as a command. Its flags are at the head of plugin.mjs. */
export const probe = (flags: readonly string[] = [], env: Readonly<Record<string, string>> = {}) => ({
  command: process.execPath,
  args: [join(folder, "plugin.mjs"), ...flags],
  env,
});

/** A shell script that runs the probe as its child. */
export const scriptedProbe = (env: Readonly<Record<string, string>> = {}) => ({
  command: join(folder, "plugin.sh"),
  env,
});

/** The program that is a host. */
export const hostProgram = join(folder, "host.mjs");

/** A platform that listens and is stopped with the test. */
export async function startPlatform(options: PlatformOptions = {}): Promise<Platform> {
  const platform = new Platform(options);
  onTestFinished(() => platform.stop());
  await platform.listen({ port: 0 });
  return platform;
}

/** What the probe says of itself, asked through the host's router. */
export interface Probed {
  readonly environment: Readonly<Record<string, string>>;
  readonly descriptors: readonly string[];
  readonly cwd: string;
  readonly args: readonly string[];
  readonly identities: readonly string[];
  readonly handshakes: readonly string[];
  /** Of all of these, in the order in which they came. */
  readonly tokens: readonly string[];
}

/** Calls the probe directly. */
export async function callProbe(url: string | undefined, method = "Look"): Promise<Probed> {
  const answer = await fetch(`${url}/test.v1.Probe/${method}`, { method: "POST", body: "{}" });
  return (await answer.json()) as Probed;
}

/** Resolves when no process of the groups is alive; rejects after `limitMs` with those that are. */
export async function untilGroupsEnd(groups: readonly number[], limitMs: number): Promise<void> {
  const endsAt = performance.now() + limitMs;
  for (;;) {
    const left = (await Promise.all(groups.map(groupMembers))).flat();
    if (left.length === 0) return;
    if (performance.now() > endsAt) throw new Error(`still alive after ${limitMs} ms: ${left.join(", ")}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Processes of the groups that are alive, the guards included. */
export const membersOf = async (groups: readonly number[]): Promise<number[]> =>
  (await Promise.all(groups.map(groupMembers))).flat();

/** A plugin made with the SDK, as a command. */
export const sdkProgram = (
  library: CompiledLibrary,
  options: object = {},
  env: Readonly<Record<string, string>> = {},
) => ({
  command: process.execPath,
  args: [join(folder, "sdk.mjs")],
  env: { LIBRARY: library.plugin, OPTIONS: JSON.stringify(options), ...env },
});

/** A module whose default export is a plugin, compiled, as a command of its own. */
export const servedModule = (
  module: URL,
  options: Pick<ServeOptions, "listen" | "link" | "heartbeatMs"> = {},
  env: Readonly<Record<string, string>> = {},
) => {
  const sdk = pathToFileURL(join(builtExamples(), "src", "plugin", "index.js")).href;
  const args = [join(folder, "serve.mjs"), sdk, module.href, JSON.stringify(options)];
  return { command: process.execPath, args, env };
};

/** What a plugin made with the SDK says of itself and of the call. */
export interface SdkProbed {
  readonly pid: number;
  readonly runtimeId: string;
  /** Where it listens; empty if it does not. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** A host in a process of its own, which can be killed. */
export interface HostProcess {
  readonly child: ChildProcess;
  readonly pids: readonly number[];
  readonly ids: readonly string[];
  readonly url: string;
}

/** Starts a host in a process of its own. Its plugins are killed with the test, whatever becomes of it. */
export async function startHostProcess(
  library: CompiledLibrary,
  plugins: readonly ProcessSource[],
  options: PlatformOptions = {},
): Promise<HostProcess> {
  const args = [hostProgram, library.host, JSON.stringify(plugins), JSON.stringify(options)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  for await (const line of createInterface({ input: child.stdout })) {
    const told: Omit<HostProcess, "child"> = JSON.parse(line);
    onTestFinished(() => {
      for (const pid of told.pids) {
        try {
          process.kill(-pid, "SIGKILL");
        } catch {
          // It has ended.
        }
      }
    });
    return { child, ...told };
  }
  throw new Error("the host ended before its plugins ran");
}

/** Kills a host as nobody can prevent. */
export async function killHost({ child }: HostProcess): Promise<void> {
  child.kill("SIGKILL");
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}
