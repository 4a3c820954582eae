import { readdir, readFile } from "node:fs/promises";

// Of the flags that the system tells of an open file: it is closed when another program takes the process over.
const closedOnExec = 0o2000000;

/**
 * Files that this process got from whoever started it and hands on to every program that it starts. Node keeps its own to
 * itself, and of those that it got the ones with low numbers; the rest is found here.
 */
export class InheritedFiles {
  #numbers: Promise<readonly number[]> | undefined;

  /**
   * Their numbers, from 3 on. Looked up once: nothing is added later, and with thousands of connections open it takes a
   * while. Empty on systems without `/proc`.
   */
  numbers(): Promise<readonly number[]> {
    this.#numbers ??= findInherited();
    return this.#numbers;
  }
}

async function findInherited(): Promise<readonly number[]> {
  const all = (await readdir("/proc/self/fd").catch(() => [])).map(Number);
  const isInherited = await Promise.all(all.map((number) => survivesExec(number)));
  return all.filter((number, index) => number > 2 && isInherited[index]);
}

async function survivesExec(number: number): Promise<boolean> {
  // It may be closed while we look.
  const info = await readFile(`/proc/self/fdinfo/${number}`, "latin1").catch(() => "");
  const flags = /^flags:\s*([0-7]+)$/m.exec(info)?.[1];
  return flags !== undefined && (Number.parseInt(flags, 8) & closedOnExec) === 0;
}
