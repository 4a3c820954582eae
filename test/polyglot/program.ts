import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { inject, onTestFinished } from "vitest";

/** A plugin that runs as a process of its own. */
export interface Program {
  /** Base URL of its port. */
  readonly url: string;
  /** All it has said on stdout and stderr so far. */
  output(): string;
  /** Resolves with the exit code; null if a signal ended it. */
  readonly ended: Promise<number | null>;
  /** Sends SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>;
}

/** How a program is started. */
export interface ProgramOptions {
  readonly selfId: string;
  /** The service type that it provides. */
  readonly provides?: string;
  /** The service type that it calls before it serves (Go), or declares (both). */
  readonly dependsOn?: string;
  /** With it the plugin registers itself. */
  readonly hostUrl?: string;
  /** Where it listens; 0 lets it choose, which plugins that register before they listen cannot do. */
  readonly port?: number;
}

/** A port that was free a moment ago, for plugins that tell the host their port before they open it. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("a TCP server has no port");
  return address.port;
}

function launch(command: string, args: readonly string[], options: ProgramOptions): [ChildProcess, () => string] {
  const { PATH, HOME } = process.env;
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      PATH,
      HOME,
      SELF_ID: options.selfId,
      PORT: String(options.port ?? 0),
      ...(options.provides !== undefined && { PROVIDES: options.provides }),
      ...(options.dependsOn !== undefined && { DEPENDS_ON: options.dependsOn }),
      ...(options.hostUrl !== undefined && { HOST_URL: options.hostUrl }),
    },
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
  }
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  });
  return [child, () => said];
}

/** Starts a program and waits until it says on which port it listens. Rejects with its output if it ends before. */
async function start(command: string, args: readonly string[], options: ProgramOptions): Promise<Program> {
  const [child, output] = launch(command, args, options);
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const port = await new Promise<string>((resolve, reject) => {
    child.stdout?.on("data", () => {
      const line = /^PORT=(\d+)$/m.exec(output());
      if (line?.[1] !== undefined) resolve(line[1]);
    });
    child.once("error", reject);
    child.once("close", (code) => reject(new Error(`${options.selfId} ended with ${code}:\n${output()}`)));
  });
  return {
    url: `http://127.0.0.1:${port}`,
    output,
    ended,
    stop: () => {
      child.kill("SIGTERM");
      return ended;
    },
  };
}

/** The script of the plugin in Python. */
export const pythonPlugin = join(import.meta.dirname, "../../examples/python/plugin.py");

/** The compiled plugin in Rust. */
export const rustPlugin = (): string => join(inject("goPlugins"), "rust-plugin");

/** One of the compiled plugins in Go. */
export const goPlugin = (name: string): string => join(inject("goPlugins"), name);

/** A plugin with the habits of the Go library's. */
export const startGoLibraryPlugin = (options: ProgramOptions): Promise<Program> =>
  start(goPlugin("library-plugin"), [], options);

/** A plugin of the Go library's older entry point, without PluginIdentity. */
export const startGoServePlugin = (options: ProgramOptions): Promise<Program> =>
  start(goPlugin("serve-plugin"), [], options);

/** A plain gRPC server with gRPC's own health and reflection. */
export const startGoGrpcPlugin = (options: ProgramOptions): Promise<Program> =>
  start(goPlugin("grpc-plugin"), [], options);

/** A plugin in Python's standard library. */
export const startPythonPlugin = (options: ProgramOptions): Promise<Program> =>
  start("python3", [pythonPlugin], options);

/** Starts the Go plugin where it cannot succeed; resolves with how it ended. */
export async function runGoLibraryPluginToItsEnd(
  options: ProgramOptions,
): Promise<{ readonly exitCode: number | null; readonly output: string }> {
  const [child, output] = launch(goPlugin("library-plugin"), [], options);
  await once(child, "close");
  return { exitCode: child.exitCode, output: output() };
}
