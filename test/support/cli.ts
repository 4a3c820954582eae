import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { buildExamples } from "../../scripts/example-build.mjs";
import type { CliEnvironment, EndSignal } from "../../src/cli/environment.js";
import { runCli } from "../../src/cli/run-cli.js";

/** What a command printed and how it ended. */
export interface CliResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface FakeEnvironment extends CliEnvironment {
  readonly printed: { stdout: string; stderr: string };
  /** Sends SIGHUP to whoever listens for it. */
  reload(): void;
  /** Sends a signal to whoever listens for it. */
  signal(name: EndSignal): void;
  readonly listeners: number;
  /** Nobody reads stdout any more. */
  closeStdout(): void;
}

/** An environment without a process. */
export function fakeEnvironment(
  given: {
    readonly variables?: Readonly<Record<string, string>>;
    readonly workingDirectory?: string;
    readonly isTerminal?: boolean;
  } = {},
): FakeEnvironment {
  const printed = { stdout: "", stderr: "" };
  const listeners = new Set<(signal: EndSignal) => void>();
  const reloaders = new Set<() => void>();
  const closed = new AbortController();
  const output = (name: "stdout" | "stderr") => ({
    write: (text: string) => {
      printed[name] += text;
    },
    isTerminal: given.isTerminal ?? false,
    closed: closed.signal,
  });
  return {
    printed,
    variables: given.variables ?? {},
    workingDirectory: given.workingDirectory ?? "/here",
    stdout: output("stdout"),
    stderr: output("stderr"),
    now: () => Date.now(),
    onSignal(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    onReload(listener) {
      reloaders.add(listener);
      return () => reloaders.delete(listener);
    },
    reload: () => {
      for (const listener of [...reloaders]) listener();
    },
    signal: (name) => {
      for (const listener of [...listeners]) listener(name);
    },
    get listeners() {
      return listeners.size;
    },
    closeStdout: () => closed.abort(),
  };
}

/** Runs a command in this process. */
export async function runHere(
  args: readonly string[],
  given: Parameters<typeof fakeEnvironment>[0] = {},
): Promise<CliResult> {
  const environment = fakeEnvironment(given);
  const exitCode = await runCli(args, environment);
  return { exitCode, ...environment.printed };
}

/** A running program. */
export interface CliProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<CliResult>;
  readonly stdout: string;
  readonly stderr: string;
  /** Resolves when stdout and stderr together contain the text; rejects if the program ends before. */
  untilPrinted(text: string): Promise<void>;
}

/** A folder in which the package's name leads to the present sources, with programs of the built command line in it. */
export class CliFolder {
  readonly path: string;
  readonly #main: string;
  readonly #processes: CliProcess[] = [];

  private constructor(path: string, main: string) {
    this.path = path;
    this.#main = main;
  }

  static async open(files: Readonly<Record<string, string>> = {}): Promise<CliFolder> {
    const build = buildExamples();
    const path = await mkdtemp(join(tmpdir(), "cli-test-"));
    await mkdir(join(path, "node_modules"));
    await symlink(build, join(path, "node_modules", "connect-plugin-host"));
    const folder = new CliFolder(path, join(build, "src", "cli", "main.js"));
    for (const [name, text] of Object.entries(files)) await folder.write(name, text);
    return folder;
  }

  async write(name: string, text: string): Promise<string> {
    const file = join(this.path, name);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
    return file;
  }

  /** Starts a command and lets it run. */
  start(args: readonly string[], variables: Readonly<Record<string, string>> = {}): CliProcess {
    return this.startProgram([this.#main, ...args], variables);
  }

  /** Starts a program of the folder. */
  startProgram(args: readonly string[], variables: Readonly<Record<string, string>> = {}): CliProcess {
    const { HOST_URL: _url, PORT: _port, ...inherited } = process.env;
    const child = spawn(process.execPath, [...args], {
      cwd: this.path,
      env: { ...inherited, ...variables },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const printed = { stdout: "", stderr: "" };
    const waiting = new Set<() => void>();
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (text: string) => {
        printed[name] += text;
        for (const check of waiting) check();
      });
    }
    const ended = new Promise<CliResult>((resolve) => {
      child.on("close", (exitCode) => resolve({ exitCode, ...printed }));
    });
    const running: CliProcess = {
      child,
      ended,
      get stdout() {
        return printed.stdout;
      },
      get stderr() {
        return printed.stderr;
      },
      untilPrinted: (text) =>
        new Promise((resolve, reject) => {
          const check = (): void => {
            if (!(printed.stdout + printed.stderr).includes(text)) return;
            waiting.delete(check);
            resolve();
          };
          waiting.add(check);
          void ended.then(() => {
            check();
            reject(new Error(`ended before it printed ${text}:\n${printed.stdout}${printed.stderr}`));
          });
          check();
        }),
    };
    this.#processes.push(running);
    return running;
  }

  /** Runs a command to its end. */
  run(args: readonly string[], variables: Readonly<Record<string, string>> = {}): Promise<CliResult> {
    return this.start(args, variables).ended;
  }

  /** Starts `serve` and waits for its first line. */
  async serve(
    args: readonly string[],
    variables: Readonly<Record<string, string>> = {},
  ): Promise<CliProcess & { readonly url: string }> {
    const running = this.start(["serve", ...args], variables);
    await running.untilPrinted("\n");
    await running.untilPrinted("listening on ");
    const [line = ""] = running.stdout.split("\n");
    return Object.assign(running, { url: line.replace("listening on ", "") });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#processes.map(async ({ child, ended }) => {
        if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
        await ended;
      }),
    );
    await rm(this.path, { recursive: true, force: true });
  }
}
