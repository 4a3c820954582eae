import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Worker } from "node:worker_threads";
import { onTestFinished } from "vitest";
import type { PluginSpec } from "../../../src/index.js";
import { type ServedPlugin, servePlugin } from "../../../src/plugin/index.js";
import type { LauncherProbe, LauncherUnderTest } from "../../../src/testing/index.js";
import { builtExamples } from "../../support/built-examples.js";
import { type CrashableModule, crashable } from "../../support/plugins.js";
import { servedModule } from "../../support/process-plugins.js";
import { socketLauncher } from "./socket-launcher.js";

const root = fileURLToPath(new URL("../../..", import.meta.url));

/** The compiled form of one of the sources, for what runs outside of the test's own loader. */
const compiled = (file: string): string => join(builtExamples(), relative(root, file));

/** Processes with a text among their arguments. */
function processesWith(text: string): string[] {
  return readdirSync("/proc").flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      return command.includes(text) ? [`${pid} ${command.replaceAll("\0", " ")}`] : [];
    } catch {
      // It has ended meanwhile.
      return [];
    }
  });
}

/** In the host's process and thread. */
function asModule(): LauncherUnderTest {
  const started: CrashableModule[] = [];
  return {
    source({ plugin }) {
      const module = crashable(plugin);
      started.push(module);
      return { module };
    },
    crash: (reason) => started.at(-1)?.crash(reason),
    leftovers: () => started.flatMap(({ id, running }) => Array.from({ length: running }, () => id)),
    skip: {
      "what it writes is told line by line, under its name": "a module's output is that of the host's own process",
    },
  };
}

/** In a process of its own: as most are, with no port, over its link. */
const asProcess = (): LauncherUnderTest =>
  runningProgram(({ program: [command, program, ...args] }) => ({
    command,
    args: [compiled(program as string), ...args],
  }));

/** In a process of its own, which opens a port all the same. */
const asListeningProcess = (): LauncherUnderTest =>
  runningProgram(({ module }) => servedModule(pathToFileURL(compiled(module)), { listen: "always" }));

function runningProgram(
  of: (probe: LauncherProbe) => { readonly command: string; readonly args: readonly string[] },
): LauncherUnderTest {
  // Among the arguments of every process that belongs to a plugin.
  const mark = randomUUID();
  return {
    source(probe): PluginSpec {
      const { command, args } = of(probe);
      return { command, args: [...args, mark] };
    },
    crashText: /it broke|its process exited with code 1$/,
    leftovers: () => processesWith(mark),
  };
}

/** In a worker thread of the host's process. */
const asWorker = (): LauncherUnderTest => ({
  source: ({ module }) => ({ worker: pathToFileURL(compiled(module)) }),
  leftovers: () => process.getActiveResourcesInfo().filter((name) => /worker/i.test(name)),
});

/** By a launcher that is none of the host's own. */
function byCustomLauncher(): LauncherUnderTest {
  const threads = new Set<Worker>();
  return {
    source: ({ module }) => ({ launcher: socketLauncher(compiled(module), threads) }),
    leftovers: () => [...threads].map(({ threadId }) => `thread ${threadId}`),
  };
}

// Why some cases are not for what the host did not start.
const theHostDoesNotSee = "nobody tells the host that a program which it did not start has ended";
const notItsOutput = "the host did not start it, so that it does not have its output";
const notItsEnd = "the host does not wait for the end of what it did not start";
const letGo = "a host that stops lets go what it did not start";

/** Served on a port of its own, and added by its address. */
function asEndpoint(): LauncherUnderTest {
  const served: ServedPlugin[] = [];
  const setupComesFirst = "an endpoint is known when its setup is done, so that this one has none";
  return {
    async source({ plugin }) {
      const running = await servePlugin(plugin, { env: {} });
      served.push(running);
      return { endpoint: running.url };
    },
    skip: {
      "what it writes is told line by line, under its name": notItsOutput,
      "a setup that fails is told with its reason, and leaves nothing": setupComesFirst,
      "a start that takes too long is given up, and leaves nothing": setupComesFirst,
      "a start that is called off leaves nothing": setupComesFirst,
      "a host that stops calls off the start, and nothing is left running": setupComesFirst,
      "one that crashes in its setup is told with its reason, and leaves nothing": setupComesFirst,
      "one that crashes while it is being added is told with its reason, and leaves nothing": theHostDoesNotSee,
      "one that crashes while it serves is told with its reason, gets no calls, and leaves nothing": theHostDoesNotSee,
      "one that crashes is started again, as another incarnation": theHostDoesNotSee,
      "one that crashes while it is being removed does not keep the removal waiting": theHostDoesNotSee,
      "its removal waits for calls in flight, then runs its shutdown hook, and leaves nothing": notItsEnd,
      "a host that stops runs its shutdown hook, and nothing is left running": letGo,
    },
  };
}

/**
 * Started by somebody else, with the host's address: it registers itself while the host adds it by its own, which makes one
 * plugin of the two. Not yet there when the host is told of it, unlike an endpoint.
 */
function byItself(): LauncherUnderTest {
  return {
    async source({ module }, host) {
      const sdk = pathToFileURL(join(builtExamples(), "src", "plugin", "index.js")).href;
      const program = fileURLToPath(new URL("./self-registering-program.mjs", import.meta.url));
      const child = spawn(process.execPath, [program, sdk, pathToFileURL(compiled(module)).href], {
        env: { HOST_URL: host.url },
        stdio: ["pipe", "pipe", "ignore"],
      });
      onTestFinished(() => void child.kill("SIGKILL"));
      const [endpoint] = await once(createInterface({ input: child.stdout }), "line");
      return { endpoint };
    },
    skip: {
      "what it writes is told line by line, under its name": notItsOutput,
      "a setup that fails is told with its reason, and leaves nothing":
        "why it failed is in its output, which is not the host's",
      "one that crashes in its setup is told with its reason, and leaves nothing": theHostDoesNotSee,
      "one that crashes while it is being added is told with its reason, and leaves nothing": theHostDoesNotSee,
      "one that crashes while it serves is told with its reason, gets no calls, and leaves nothing": theHostDoesNotSee,
      "one that crashes is started again, as another incarnation": "whoever started it starts it again",
      "its removal waits for calls in flight, then runs its shutdown hook, and leaves nothing": notItsEnd,
      "a host that stops runs its shutdown hook, and nothing is left running": letGo,
    },
  };
}

/**
 * How long a case takes. Some of the cases of what starts `slowly` run with the quick ones; a start `by others` is waited
 * for longest when it is called off, since the host cannot end it.
 */
export type Starts = "quickly" | "slowly" | "by others";

/** Every way in which a plugin can run. */
export const ways: readonly (readonly [name: string, underTest: LauncherUnderTest, starts: Starts])[] = [
  ["a module in the host's thread", asModule(), "quickly"],
  ["an endpoint", asEndpoint(), "quickly"],
  ["a module in a worker thread", asWorker(), "slowly"],
  ["a child process without a port", asProcess(), "slowly"],
  ["a child process that listens", asListeningProcess(), "slowly"],
  ["a custom launcher", byCustomLauncher(), "slowly"],
  ["a program that registers itself", byItself(), "by others"],
];
