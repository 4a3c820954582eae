import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import type { OutputLine } from "../model/launch.js";

/** Longest line in characters; what comes after it up to the next line is dropped. */
const maxLineChars = 8_192;
/** How many last lines are kept for error messages. */
const maxKeptLines = 20;
/** Most characters of a line that is kept for error messages. */
const maxKeptChars = 500;

/**
 * Reads what a program writes, line by line. Always reads on, whoever listens, so that the program never waits to be read;
 * memory is bounded by the longest line and the last lines kept.
 */
export class ProcessOutput {
  readonly #lastLines: string[] = [];
  readonly #onLine: (line: OutputLine) => void;
  readonly #redact: string;

  /** `redact` is a secret that the program was given, which does not get into any line; empty for none. */
  constructor(onLine: (line: OutputLine) => void, redact: string) {
    this.#onLine = onLine;
    this.#redact = redact;
  }

  /** The last lines of both streams, oldest first. */
  get lastLines(): readonly string[] {
    return [...this.#lastLines];
  }

  /** Begins to read a stream. */
  read(stream: OutputLine["stream"], source: Readable): void {
    const decoder = new StringDecoder("utf8");
    const splitter = new LineSplitter((line, truncated) => this.#take(stream, line, truncated));
    source.on("data", (chunk: Buffer) => splitter.write(decoder.write(chunk)));
    source.once("end", () => {
      splitter.write(decoder.end());
      splitter.end();
    });
    // The pipe of a program that is gone may break; the exit says all there is to say.
    source.on("error", () => {});
  }

  #take(stream: OutputLine["stream"], text: string, truncated: boolean): void {
    const line = this.#redact === "" ? text : text.replaceAll(this.#redact, "[redacted]");
    if (line.trim() !== "") {
      this.#lastLines.push(line.length > maxKeptChars ? `${line.slice(0, maxKeptChars)}…` : line);
      if (this.#lastLines.length > maxKeptLines) this.#lastLines.shift();
    }
    this.#onLine({ stream, line, truncated });
  }
}

/** Cuts a stream of text into lines of bounded length. */
class LineSplitter {
  readonly #onLine: (line: string, truncated: boolean) => void;
  #begun = "";
  /** The line begun was given out already; the rest of it is dropped. */
  #isSkipping = false;

  constructor(onLine: (line: string, truncated: boolean) => void) {
    this.#onLine = onLine;
  }

  write(text: string): void {
    let from = 0;
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", from)) {
      this.#add(text.slice(from, end));
      this.#endLine();
      from = end + 1;
    }
    this.#add(text.slice(from));
  }

  /** The stream is over: what was begun is a line, too. */
  end(): void {
    if (this.#begun !== "") this.#endLine();
  }

  #add(part: string): void {
    if (this.#isSkipping) return;
    this.#begun += part;
    if (this.#begun.length <= maxLineChars) return;
    this.#onLine(this.#begun.slice(0, maxLineChars), true);
    this.#begun = "";
    this.#isSkipping = true;
  }

  #endLine(): void {
    const line = this.#begun;
    const wasCut = this.#isSkipping;
    this.#begun = "";
    this.#isSkipping = false;
    if (!wasCut) this.#onLine(line.endsWith("\r") ? line.slice(0, -1) : line, false);
  }
}
