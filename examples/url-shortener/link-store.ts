import { randomInt } from "node:crypto";
import { appendFile, readFile } from "node:fs/promises";

/** One link. */
export interface StoredLink {
  readonly code: string;
  readonly url: string;
  readonly createdAtMs: number;
  visits: number;
}

// Without vowels no code is a word, and none is a path of the host such as `healthz`.
const alphabet = "23456789bcdfghjkmnpqrstvwxyz";
const codeLength = 8;

/** Links by code and by URL, in memory; with a file they outlive the process. */
export class LinkStore {
  readonly #byCode = new Map<string, StoredLink>();
  readonly #byUrl = new Map<string, StoredLink>();
  readonly #file: string | undefined;
  #written: Promise<void> = Promise.resolve();

  private constructor(file: string | undefined) {
    this.#file = file;
  }

  /** Reads what the file holds; one that is not there yet holds nothing. */
  static async open(file: string | undefined): Promise<LinkStore> {
    const store = new LinkStore(file);
    if (file === undefined) return store;
    const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return "";
      throw error;
    });
    for (const line of text.split("\n")) store.#read(line);
    // A line that was cut off by a crash must not run into the next one.
    if (text !== "" && !text.endsWith("\n")) await store.#append("\n");
    return store;
  }

  get(code: string): StoredLink | undefined {
    return this.#byCode.get(code);
  }

  /** Resolves when the link is in the file. */
  async create(url: string): Promise<{ readonly link: StoredLink; readonly created: boolean }> {
    const known = this.#byUrl.get(url);
    if (known !== undefined) {
      await this.#written;
      return { link: known, created: false };
    }
    const link = { code: this.#newCode(), url, createdAtMs: Date.now(), visits: 0 };
    this.#keep(link);
    try {
      await this.#append(`${JSON.stringify(link)}\n`);
    } catch (error) {
      this.#byCode.delete(link.code);
      this.#byUrl.delete(url);
      throw error;
    }
    return { link, created: true };
  }

  /** Counts a visit. Visitors do not wait for the file. */
  visit(code: string): StoredLink | undefined {
    const link = this.#byCode.get(code);
    if (link === undefined) return undefined;
    link.visits += 1;
    this.#append(`${JSON.stringify({ visited: code })}\n`).catch(() => {});
    return link;
  }

  /** Resolves when the file has everything that it can have. */
  async close(): Promise<void> {
    await this.#written.catch(() => {});
  }

  #newCode(): string {
    for (;;) {
      const code = Array.from({ length: codeLength }, () => alphabet[randomInt(alphabet.length)]).join("");
      if (!this.#byCode.has(code)) return code;
    }
  }

  #keep(link: StoredLink): void {
    this.#byCode.set(link.code, link);
    this.#byUrl.set(link.url, link);
  }

  #read(line: string): void {
    let entry: Partial<StoredLink> & { readonly visited?: string };
    try {
      entry = JSON.parse(line);
    } catch {
      return; // The end of the file, or what a crash left of a line.
    }
    const { code, url, createdAtMs = 0, visits = 0, visited } = entry;
    if (code !== undefined && url !== undefined) this.#keep({ code, url, createdAtMs, visits });
    const link = visited === undefined ? undefined : this.#byCode.get(visited);
    if (link !== undefined) link.visits += 1;
  }

  /** Lines are written one after the other; one that fails does not keep the next from being tried. */
  #append(text: string): Promise<void> {
    const file = this.#file;
    if (file === undefined) return this.#written;
    this.#written = this.#written.catch(() => {}).then(() => appendFile(file, text));
    return this.#written;
  }
}
