import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { invalid } from "../errors.js";
import { fromText, type LaunchRecord, toText } from "./launch-record.js";

const recordName = /^launch-[0-9a-f]+\.json$/;

/**
 * The folder with one small file for each launch. Everything is synchronous: the host may be killed at any moment, and a program
 * that runs without its record is one that nobody finds again.
 */
export class LaunchRecordFiles {
  constructor(readonly folder: string) {}

  /** Makes the folder, for nobody but this user. @throws PluginHostError `INVALID_ARGUMENT` if others could write there */
  prepare(): void {
    try {
      if (mkdirSync(this.folder, { recursive: true, mode: 0o700 }) !== undefined) chmodSync(this.folder, 0o700);
    } catch (error) {
      throw invalid("stateDir", `cannot be used: ${(error as Error).message}`, error);
    }
    const { mode, uid } = statSync(this.folder);
    const isOwn = process.getuid === undefined || uid === process.getuid();
    if (isOwn && (mode & 0o077) === 0) return;
    const seen = isOwn ? `has mode ${(mode & 0o777).toString(8).padStart(4, "0")}` : `belongs to user ${uid}`;
    throw invalid("stateDir", `${this.folder} ${seen}; it must belong to this user, with mode 0700: chmod 700 it`);
  }

  write(record: LaunchRecord): void {
    const file = join(this.folder, `${record.launchId}.json`);
    // Whoever reads finds all of it or nothing.
    writeFileSync(`${file}.new`, toText(record), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }

  remove(launchId: string): void {
    rmSync(join(this.folder, `${launchId}.json`), { force: true });
  }

  /** All records. What is none is set aside under another name, and told to `onCorrupt`. */
  readAll(onCorrupt: (setAside: string) => void): LaunchRecord[] {
    const records: LaunchRecord[] = [];
    for (const name of readdirSync(this.folder)) {
      const file = join(this.folder, name);
      // Left by a host that ended in the middle of `write`.
      if (name.endsWith(".json.new")) rmSync(file, { force: true });
      if (!recordName.test(name)) continue;
      const record = this.#read(file);
      if (record !== undefined && `${record.launchId}.json` === name) {
        records.push(record);
        continue;
      }
      renameSync(file, `${file}.corrupt`);
      onCorrupt(`${file}.corrupt`);
    }
    return records;
  }

  #read(file: string): LaunchRecord | undefined {
    try {
      return fromText(readFileSync(file, "utf8"));
    } catch {
      return undefined;
    }
  }
}
