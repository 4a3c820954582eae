import { type FSWatcher, watch } from "node:fs";
import path from "node:path";

/** Certificates that are to be used again whenever their files change. */
export interface PemFiles<Read extends object> {
  /** For the log, such as `the certificate`. */
  readonly what: string;
  /** Absolute paths. */
  readonly files: readonly string[];
  /** What is in use. */
  readonly present: Read;
  readonly read: () => Promise<Read>;
  /** Throws if what was read cannot be used; what was used before stays then. */
  readonly use: (read: Read) => void;
  /** A line for the log. */
  readonly say: (message: string) => void;
  /** Calls the listener when the process is asked to read its certificates again. Returns what undoes it. */
  readonly onReload: (listener: () => void) => () => void;
}

/** Certificate and key are written one after the other; what comes within this time is one change. */
const quietMs = 250;

/**
 * Reads files again whenever they change, or somebody asks for it. What is not usable, such as a certificate whose key is not
 * written yet, changes nothing and is logged. Returns what ends it.
 */
export function watchPemFiles<Read extends object>(given: PemFiles<Read>): () => void {
  const { what, files, read, use, say, onReload } = given;
  let timer: NodeJS.Timeout | undefined;
  let isOver = false;
  let present = textOf(given.present);
  let reading = Promise.resolve();

  const reload = async (isAsked: boolean): Promise<void> => {
    if (isOver) return;
    try {
      const found = await read();
      const text = textOf(found);
      // Folders report much that is not about these files.
      if (isOver || (text === present && !isAsked)) return;
      use(found);
      say(`${what} was read again; new connections get it`);
      present = text;
    } catch (error) {
      say(`${what} stays as it is: ${error instanceof Error ? error.message : error}`);
    }
  };
  const readAgain = (isAsked: boolean): void => {
    reading = reading.then(() => reload(isAsked));
  };
  const soon = (): void => {
    clearTimeout(timer);
    timer = setTimeout(readAgain, quietMs, false).unref();
  };

  // Folders, because a file that is put in the place of another is another file; and links to folders are what changes
  // where certificates are mounted as in Kubernetes.
  const watchers = [...new Set(files.map((file) => path.dirname(file)))].flatMap((name): FSWatcher[] => {
    try {
      const watcher = watch(name, { persistent: false }, soon);
      watcher.on("error", (error) =>
        say(`changes in ${name} are not seen any more (SIGHUP still works): ${error.message}`),
      );
      return [watcher];
    } catch (error) {
      say(`changes in ${name} are not seen (SIGHUP still works): ${error instanceof Error ? error.message : error}`);
      return [];
    }
  });
  const off = onReload(() => readAgain(true));
  return () => {
    isOver = true;
    clearTimeout(timer);
    off();
    for (const watcher of watchers) watcher.close();
  };
}

const textOf = (read: object): string => JSON.stringify(read);
