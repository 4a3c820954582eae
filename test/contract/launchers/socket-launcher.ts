import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import type { CustomLauncher } from "../../../src/index.js";
import { builtExamples } from "../../support/built-examples.js";

/** As somebody else would write one: a thread that serves the module on a Unix socket. */
export const socketLauncher = (module: string, threads: Set<Worker>): CustomLauncher => ({
  name: "sockets",
  async launch({ signal, output }) {
    const folder = await mkdtemp(join(tmpdir(), "socket-launcher-"));
    const path = join(folder, "plugin.sock");
    const sdk = pathToFileURL(join(builtExamples(), "src", "plugin", "index.js")).href;
    const workerData = { sdk, module: pathToFileURL(module).href, path };
    const program = new URL("./socket-thread.mjs", import.meta.url);
    const thread = new Worker(program, { workerData, stdout: true, stderr: true });
    threads.add(thread);
    for (const stream of ["stdout", "stderr"] as const) {
      createInterface({ input: thread[stream] }).on("line", (line) => output(line, stream));
    }
    let error: Error | undefined;
    thread.on("error", (thrown: Error) => {
      error = thrown;
    });
    const exited = new Promise((resolve) => thread.once("exit", resolve));
    const ended = exited.then(async () => {
      threads.delete(thread);
      await rm(folder, { recursive: true });
      if (error !== undefined) throw error;
      return "its thread has ended";
    });
    ended.catch(() => {});
    const stop = async (graceMs: number): Promise<void> => {
      const timer = setTimeout(() => void thread.terminate(), graceMs);
      await ended.catch(() => {});
      clearTimeout(timer);
    };
    const givenUp = once(signal, "abort").then(() => Promise.reject(signal.reason));
    try {
      await Promise.race([once(thread, "message"), givenUp, ended.then((why) => Promise.reject(new Error(why)))]);
    } catch (cause) {
      await stop(0);
      throw cause;
    }
    return { endpoint: `unix:${path}`, ended, stop };
  },
});
