import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { setTimeout as after } from "node:timers/promises";
import { CliError } from "../cli-error.js";
import { exitCodes } from "../exit-codes.js";

/** The program that is checked. */
export interface ProgramSpec {
  readonly command: readonly [string, ...string[]];
  readonly cwd: string;
  /** Variables beside those that a host sets. */
  readonly env: Readonly<Record<string, string>>;
  /** The environment of the check itself, of which PATH, HOME, LANG and TZ are passed on. */
  readonly inherited: Readonly<Record<string, string | undefined>>;
}

const maxOutputChars = 64 * 1024;
const triesEveryMs = 20;

/** One run of the program, with the environment that a host gives it (clause W-11.1). */
export class PluginProgram {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #silent: Promise<unknown>;
  #output = "";

  private constructor(spec: ProgramSpec, port: number, hostUrl: string | undefined) {
    this.port = port;
    const [command, ...args] = spec.command;
    const env: Record<string, string> = {};
    for (const name of ["PATH", "HOME", "LANG", "TZ"]) {
      const value = spec.inherited[name];
      if (value !== undefined) env[name] = value;
    }
    Object.assign(env, spec.env, { PORT: String(port), HOSTNAME: "127.0.0.1" });
    if (hostUrl !== undefined) env.HOST_URL = hostUrl;
    // A group of its own, so that whatever it starts can be found and ended.
    this.#child = spawn(command, args, { cwd: spec.cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#output = (this.#output + text).slice(-maxOutputChars);
      });
    }
    this.#ended = once(this.#child, "exit").catch(() => undefined);
    this.#silent = once(this.#child, "close").catch(() => undefined);
  }

  /** Starts it. @throws CliError if there is no such program */
  static async start(spec: ProgramSpec, hostUrl: string | undefined): Promise<PluginProgram> {
    const program = new PluginProgram(spec, await freePort(), hostUrl);
    try {
      await once(program.#child, "spawn");
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const exitCode = code === "ENOENT" ? exitCodes.notFound : exitCodes.failed;
      throw new CliError(exitCode, `the program cannot be started: ${message}`, {
        hint: "give the command as the host would get it: a path, or a name in PATH, and its arguments",
      });
    }
    return program;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** What it has written lately, standard output and standard error together. */
  get output(): string {
    return this.#output;
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** How it ended, in words. */
  get ending(): string {
    const { exitCode, signalCode } = this.#child;
    return signalCode === null ? `ended with exit code ${exitCode}` : `was ended by ${signalCode}`;
  }

  /** Resolves with whether it listens on its port before it ends and the time is over. */
  async untilListening(timeoutMs: number): Promise<boolean> {
    const endsAt = performance.now() + timeoutMs;
    while (!this.hasEnded && performance.now() < endsAt) {
      if (await accepts("127.0.0.1", this.port)) return true;
      await Promise.race([after(triesEveryMs, undefined, { ref: true }), this.#ended]);
    }
    return false;
  }

  /** Resolves with whether it has ended within this time. */
  async untilEnded(timeoutMs: number): Promise<boolean> {
    await within(timeoutMs, this.#ended);
    return this.hasEnded;
  }

  /** What it has written, with what was on the way when it ended. Whoever else holds its output is not waited for longer than this. */
  async lastOutput(timeoutMs: number): Promise<string> {
    if (this.hasEnded) await within(timeoutMs, this.#silent);
    return this.#output;
  }

  terminate(): void {
    this.#child.kill("SIGTERM");
  }

  /** Whether, within this time, nothing of its group is left. */
  async untilGroupEnded(timeoutMs: number): Promise<boolean> {
    const endsAt = performance.now() + timeoutMs;
    while (this.#signalGroup(0)) {
      if (performance.now() > endsAt) return false;
      await after(triesEveryMs);
    }
    return true;
  }

  /** An address of this machine, beside 127.0.0.1, on which its port is open; undefined if there is none. */
  async openElsewhere(): Promise<{ readonly tried: number; readonly at: string | undefined }> {
    const others = Object.values(networkInterfaces())
      .flatMap((list) => list ?? [])
      .filter(({ internal, family }) => !internal && family === "IPv4")
      .map(({ address }) => address);
    // Linux answers at all of 127.0.0.0/8, for those that listen on every address.
    if (process.platform === "linux") others.push("127.0.0.2");
    for (const address of others) {
      if (await accepts(address, this.port)) return { tried: others.length, at: address };
    }
    return { tried: others.length, at: undefined };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#signalGroup("SIGKILL");
    if (!this.hasEnded) await this.#ended;
  }

  #signalGroup(signal: "SIGKILL" | 0): boolean {
    try {
      return this.#child.pid !== undefined && process.kill(-this.#child.pid, signal);
    } catch {
      return false;
    }
  }
}

async function within(timeoutMs: number, event: Promise<unknown>): Promise<void> {
  const late = new AbortController();
  const limit = after(timeoutMs, undefined, { signal: late.signal }).catch(() => undefined);
  await Promise.race([event, limit]);
  late.abort();
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 1_000 });
    const end = (isOpen: boolean) => (): void => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.once("connect", end(true)).once("error", end(false)).once("timeout", end(false));
  });
}
