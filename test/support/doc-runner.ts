import { type ChildProcess, spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildExamples } from "../../scripts/example-build.mjs";
import type { DocBlock } from "./doc-blocks.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const limitMs = 30_000;
// How well programs stop is not the point here.
const stopLimitMs = 1_000;

interface Program {
  readonly child: ChildProcess;
  readonly closed: Promise<number | null>;
  output: string;
  onOutput: () => void;
}

/**
 * Runs the blocks of one document in their order, as a reader would, in a folder where the package's name leads to the
 * present sources:
 * - a block that begins with a comment that is a file name becomes that file;
 * - another `js` block is a program, together with the blocks that continue it, and has to end with 0;
 * - `sh` blocks are run by bash and have to end with 0;
 * - a `text` block holds what the block before it prints;
 * - the ports 4000 to 4009 stand for any that are free.
 */
export class DocRunner {
  readonly #name: string;
  readonly #folder: string;
  readonly #ports = new Map<string, number>();
  readonly #background: Program[] = [];
  /** What the last program printed, for a `text` block. */
  #printed: (() => Promise<string>) | undefined;

  private constructor(name: string, folder: string) {
    this.#name = name;
    this.#folder = folder;
  }

  static async open(name: string): Promise<DocRunner> {
    const build = buildExamples();
    const folder = await mkdtemp(join(build, "document-"));
    await cp(join(root, "examples", "gen"), join(folder, "gen"), { recursive: true });
    await symlink(join(root, "scripts"), join(folder, "scripts"), "junction");
    // Where npm would put the package's commands.
    for (const command of ["cph", "connect-plugin-host"]) {
      const main = join(build, "src", "cli", "main.js");
      await mkdir(join(folder, "bin"), { recursive: true });
      await writeFile(join(folder, "bin", command), `#!/bin/sh\nexec node "${main}" "$@"\n`, { mode: 0o755 });
    }
    return new DocRunner(name, folder);
  }

  async run(blocks: readonly DocBlock[]): Promise<void> {
    for (const [index, block] of blocks.entries()) {
      const continues = (at: number): boolean => blocks[at]?.directive?.name === "continues";
      if (block.directive?.name === "skip" || continues(index)) continue;
      let code = block.code;
      for (let next = index + 1; continues(next); next += 1) code += blocks[next]?.code ?? "";
      try {
        await this.#runOne(block, await this.#withFreePorts(code));
      } catch (error) {
        throw new Error(`${this.#name}:${block.line}: ${error instanceof Error ? error.message : error}`);
      }
    }
  }

  /** Ends the programs that still run, and removes the folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#background.map(async ({ child, closed }) => {
        signalGroup(child, "SIGTERM");
        const limit = setTimeout(() => signalGroup(child, "SIGKILL"), stopLimitMs);
        await closed;
        clearTimeout(limit);
      }),
    );
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #runOne({ language, fileName, directive }: DocBlock, code: string): Promise<void> {
    if (language === "text") {
      if (this.#printed === undefined) throw new Error("nothing was run whose output this could be");
      const wanted = normalized(code);
      const printed = normalized(await this.#printed());
      if (printed !== wanted) throw new Error(`it says\n${wanted}\nbut what is printed is\n${printed}`);
    } else if (fileName !== undefined) {
      const file = join(this.#folder, fileName);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, code);
    } else if (language === "js") {
      await writeFile(join(this.#folder, "block.mjs"), code);
      await this.#finish(this.#start(process.execPath, ["block.mjs"]));
    } else if (language === "sh") {
      const program = this.#start("bash", ["-euo", "pipefail", "-c", code]);
      if (directive?.name !== "background") return this.#finish(program);
      this.#background.push(program);
      await this.#until(program, () => program.output.includes(directive.value), `prints ${directive.value}`);
      this.#printed = async () => program.output;
    } else {
      throw new Error(`a block of ${language || "no language"}: say what to do with it in a comment before it`);
    }
  }

  #start(command: string, parameters: readonly string[]): Program {
    const { HOST_URL: _url, PORT: _port, ...env } = process.env;
    const child = spawn(command, [...parameters], {
      cwd: this.#folder,
      env: { ...env, PATH: `${join(this.#folder, "bin")}:${env.PATH}`, NO_COLOR: "1", npm_config_yes: "false" },
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const closed = new Promise<number | null>((resolve) => child.on("close", resolve));
    const program: Program = { child, closed, output: "", onOutput: () => {} };
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        program.output += text;
        program.onOutput();
      });
    }
    return program;
  }

  async #finish(program: Program): Promise<void> {
    let code: number | null | undefined;
    void program.closed.then((result) => {
      code = result;
      program.onOutput();
    });
    await this.#until(program, () => code !== undefined, "ends");
    if (code !== 0) throw new Error(`it ended with ${code}:\n${program.output}`);
    this.#printed = async () => program.output;
  }

  async #until(program: Program, isDone: () => boolean, what: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const fail = (reason: string): void => {
        signalGroup(program.child, "SIGKILL");
        reject(new Error(`${reason} before it ${what}; it printed:\n${program.output}`));
      };
      const limit = setTimeout(() => fail(`${limitMs} ms passed`), limitMs);
      const check = (): void => {
        if (!isDone()) return;
        clearTimeout(limit);
        program.onOutput = () => {};
        resolve();
      };
      program.onOutput = check;
      void program.closed.then(() => {
        check();
        if (!isDone()) fail("it ended");
      });
      check();
    });
  }

  async #withFreePorts(code: string): Promise<string> {
    for (const [port] of code.matchAll(/\b400\d\b/g)) {
      if (!this.#ports.has(port)) this.#ports.set(port, await freePort());
    }
    return code.replace(/\b400\d\b/g, (port) => String(this.#ports.get(port)));
  }
}

function signalGroup({ pid, exitCode, signalCode }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined || exitCode !== null || signalCode !== null) return;
  process.kill(-pid, signal);
}

/** A port that is free now, below those that the system hands out, so that no other test gets it by port 0. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}

/** Without what differs from run to run. */
function normalized(text: string): string {
  return text
    .replace(/-[0-9a-f]{8,}\b/g, "-<id>")
    .replace(/\b(127\.0\.0\.1|localhost):\d+/g, "$1:<port>")
    .replace(/\b\d+(\.\d+)? ms\b/g, "<n> ms")
    .trimEnd();
}
