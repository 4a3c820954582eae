import { linkSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PluginHostError } from "../errors.js";
import { randomHex } from "../internal/ids.js";
import { hasProcess, startOfProcess } from "./process-identity.js";

interface Holder {
  readonly pid: number;
  /** As `startOfProcess` tells it; empty on systems that do not tell. */
  readonly startedAt: string;
  readonly released: boolean;
}

const lockName = /^host-(\d+)\.lock$/;
const fileOf = (folder: string, generation: number): string => join(folder, `host-${generation}.lock`);

/**
 * Keeps a second host out of a state folder. The lock is the file with the highest number; a new holder makes the next number,
 * which only one of several can. Only a newer holder deletes a file, so that nobody can take away a lock that has just changed
 * hands, as happens where a stale file is deleted and made again.
 */
export class StateDirLock {
  readonly #folder: string;
  readonly #generation: number;

  private constructor(folder: string, generation: number) {
    this.#folder = folder;
    this.#generation = generation;
  }

  /** @throws PluginHostError `STATE_DIR_IN_USE` */
  static take(folder: string): StateDirLock {
    for (;;) {
      const newest = generationsIn(folder).at(-1) ?? 0;
      const holder = newest === 0 ? undefined : readHolder(fileOf(folder, newest));
      if (holder !== undefined && isHeld(holder)) {
        throw new PluginHostError(
          "STATE_DIR_IN_USE",
          `the host with process id ${holder.pid} uses ${folder}; stop it, or give this one a stateDir of its own`,
          { details: { pid: holder.pid, stateDir: folder } },
        );
      }
      const generation = newest + 1;
      if (!make(folder, generation)) continue;
      // Who was slow may have made a number that is long past.
      if (generationsIn(folder).at(-1) !== generation) {
        rmSync(fileOf(folder, generation), { force: true });
        continue;
      }
      for (const older of generationsIn(folder)) if (older < generation) rmSync(fileOf(folder, older), { force: true });
      return new StateDirLock(folder, generation);
    }
  }

  /** The file stays, so that its number is not used again. */
  release(): void {
    const file = fileOf(this.#folder, this.#generation);
    try {
      writeFileSync(`${file}.new`, holderText(true), { mode: 0o600 });
      renameSync(`${file}.new`, file);
    } catch {
      // The folder is gone, and the lock with it.
    }
  }
}

const generationsIn = (folder: string): number[] =>
  readdirSync(folder)
    .flatMap((name) => {
      const number = lockName.exec(name)?.[1];
      return number === undefined ? [] : [Number(number)];
    })
    .sort((a, b) => a - b);

const holderText = (released: boolean): string => {
  const holder: Holder = { pid: process.pid, startedAt: startOfProcess(process.pid) ?? "", released };
  return `${JSON.stringify(holder)}\n`;
};

/** Makes the lock with all its content at once. False if somebody else has. */
function make(folder: string, generation: number): boolean {
  const draft = join(folder, `host-${randomHex(8)}.new`);
  writeFileSync(draft, holderText(false), { mode: 0o600 });
  try {
    linkSync(draft, fileOf(folder, generation));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Undefined for what is no lock, which holds nobody up. */
function readHolder(file: string): Holder | undefined {
  try {
    const holder = JSON.parse(readFileSync(file, "utf8")) as Partial<Holder> | null;
    return Number.isSafeInteger(holder?.pid) && (holder?.pid as number) > 0 ? (holder as Holder) : undefined;
  } catch {
    return undefined;
  }
}

function isHeld({ pid, startedAt, released }: Holder): boolean {
  if (released) return false;
  return startedAt === "" ? hasProcess(pid) : startOfProcess(pid) === startedAt;
}
