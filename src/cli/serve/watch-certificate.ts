import { type FSWatcher, watch } from "node:fs";
import path from "node:path";
import type { KeyPair, Platform } from "../../index.js";
import { readKeyPair, type TlsFiles } from "./tls-files.js";

/** What reloading needs. */
export interface CertificateWatch {
  readonly platform: Pick<Platform, "setCertificate">;
  readonly files: TlsFiles;
  /** What the host listens with. */
  readonly present: KeyPair;
  readonly folder: string;
  /** A line for the log. */
  readonly say: (message: string) => void;
  /** Calls the listener when the process is asked to read its certificate again. Returns what undoes it. */
  readonly onReload: (listener: () => void) => () => void;
}

/** Certificate and key are written one after the other; what comes within this time is one change. */
const quietMs = 250;

/**
 * Gives the host the certificate of its files again whenever these change, or somebody asks for it. A certificate that is not
 * usable, such as one whose key is not written yet, changes nothing and is logged. Returns what ends it.
 */
export function watchCertificate(given: CertificateWatch): () => void {
  const { platform, files, folder, say, onReload } = given;
  let timer: NodeJS.Timeout | undefined;
  let isOver = false;
  let present = textOf(given.present);
  let reading = Promise.resolve();

  const reload = async (isAsked: boolean): Promise<void> => {
    if (isOver) return;
    try {
      const pair = await readKeyPair(files, folder);
      const text = textOf(pair);
      // Folders report much that is not about the certificate.
      if (isOver || (text === present && !isAsked)) return;
      platform.setCertificate(pair);
      say("the certificate was read again; new connections get it");
      present = text;
    } catch (error) {
      say(`the certificate stays as it is: ${error instanceof Error ? error.message : error}`);
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
  const folders = new Set([files.cert, files.key].map((file) => path.dirname(path.resolve(folder, file))));
  const watchers = [...folders].flatMap((name): FSWatcher[] => {
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

const textOf = ({ cert, key }: KeyPair): string => `${cert}\n${key}`;
