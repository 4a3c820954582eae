import { once } from "node:events";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ErrorCode, PluginSpec, ProcessSource } from "../../src/index.js";

const enoughMs = 20_000;
const script = join(import.meta.dirname, "doctor-plugins", "plugin.mjs");

/** How a broken plugin is started. */
export type BrokenSpec = ProcessSource & Pick<PluginSpec, "declares">;

/** One broken plugin: what it is, how it is started, and the code that names its fault. */
export interface BrokenPlugin {
  readonly fault: string;
  /** One, or a set in which only together they are broken. */
  readonly specs: readonly BrokenSpec[];
  /** Undefined if it has to start. */
  readonly code: ErrorCode | undefined;
  /** What it gets to start. Only for those that would take for ever it is short. */
  readonly limitMs: number;
}

/** The plugin with this fault. */
export const sample = (fault: string, env: Readonly<Record<string, string>> = {}) => ({
  command: process.execPath,
  args: [script, fault],
  env,
});

/** An ELF file with nothing but a header, for a machine that this one is not. */
function foreignElf(): Buffer {
  const elf = Buffer.alloc(64);
  elf.write("7f454c46020101", "hex");
  elf.writeUInt16LE(2, 16);
  elf.writeUInt16LE(process.arch === "arm64" ? 62 : 183, 18);
  return elf;
}

/** Twelve plugins, of which eleven cannot start, each for another reason. Their files are in a folder of their own. */
export class BrokenPlugins {
  readonly all: readonly BrokenPlugin[];
  readonly folder: string;
  readonly #end: () => void;

  private constructor(folder: string, all: readonly BrokenPlugin[], end: () => void) {
    this.folder = folder;
    this.all = all;
    this.#end = end;
  }

  static async open(): Promise<BrokenPlugins> {
    const folder = await mkdtemp(join(tmpdir(), "broken-plugins-"));
    const file = async (name: string, content: string | Buffer, mode = 0o755): Promise<string> => {
      const path = join(folder, name);
      await writeFile(path, content);
      await chmod(path, mode);
      return path;
    };
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const address = taken.address() as { readonly port: number };
    const needing = (selfId: string, type: string) => ({
      ...sample("none", { ID: selfId, NEEDS: type }),
      declares: { selfId, provides: [{ type: selfId, version: "1.0.0" }], requires: [{ type }] },
    });
    const one = (fault: string, spec: BrokenSpec, code?: ErrorCode, limitMs = enoughMs): BrokenPlugin => ({
      fault,
      specs: [spec],
      code,
      limitMs,
    });
    const shell = (text: string): string => `#!/bin/sh\n${text}\n`;
    const hangs = await file("hangs", shell("echo waiting for the database\nexec sleep 600"));
    const exits = await file("exits", shell("echo cannot open the database >&2\nexit 1"));
    return new BrokenPlugins(
      folder,
      [
        one("wrong architecture", { command: await file("foreign", foreignElf()) }, "COMMAND_WRONG_ARCHITECTURE"),
        one("no exec bit", { command: await file("plain", shell("exit 0"), 0o644) }, "COMMAND_NOT_EXECUTABLE"),
        one("noisy", sample("noisy")),
        one("exits", { command: exits }, "PLUGIN_EXITED"),
        one("hangs", { command: hangs }, "PLUGIN_NOT_LISTENING", 1_000),
        one("wrong protocol", sample("wrong protocol"), "PLUGIN_PROTOCOL"),
        one("port taken", sample("port taken", { TAKEN: String(address.port) }), "PORT_IN_USE"),
        one("bad token", sample("bad token"), "UNAUTHENTICATED"),
        one("missing dependency", sample("none", { ID: "app", NEEDS: "logger" }), "DEPENDENCY_MISSING"),
        {
          fault: "cycle",
          specs: [needing("hen", "egg"), needing("egg", "hen")],
          code: "DEPENDENCY_CYCLE",
          limitMs: enoughMs,
        },
        one("panics", sample("panics"), "PLUGIN_CRASHED"),
        one("slow", sample("slow answers", { SLOW_MS: "60000" }), "STEP_TIMEOUT", 5_000),
      ],
      () => taken.close(),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end();
    await rm(this.folder, { recursive: true });
  }
}
