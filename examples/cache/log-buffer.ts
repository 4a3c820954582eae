/** What a {@link LogBuffer} needs. */
export interface LogBufferOptions {
  /** Sends one line; rejects if it could not be delivered. */
  readonly send: (message: string, signal: AbortSignal) => Promise<unknown>;
  /** Called when lines are kept back from now on. */
  readonly onDegraded: () => void;
  /** Called when the last line that was kept back is delivered. */
  readonly onRecovered: () => void;
}

const maxLines = 10_000;

/** Delivers log lines one after the other and in their order, and keeps them back while nobody takes them. */
export class LogBuffer {
  readonly #options: LogBufferOptions;
  readonly #lines: string[] = [];
  readonly #stop = new AbortController();
  #state: "delivering" | "failing" | "away" = "delivering";
  #sending: Promise<void> | undefined;

  constructor(options: LogBufferOptions) {
    this.#options = options;
  }

  write(line: string): void {
    this.#lines.push(line);
    // The newest lines say more about the present trouble than the oldest.
    if (this.#lines.length > maxLines) this.#lines.shift();
    if (this.#state !== "away") this.#deliver();
  }

  /** The logger is away: do not even try. */
  hold(): void {
    if (this.#state === "delivering") this.#options.onDegraded();
    this.#state = "away";
  }

  /** The logger is there (again). */
  flush(): void {
    if (this.#state === "away") this.#state = "failing";
    this.#deliver();
  }

  /** Delivers what is left if that takes no longer than a second. */
  async close(): Promise<void> {
    const limit = setTimeout(() => this.#stop.abort(), this.#state === "delivering" ? 1_000 : 0);
    await this.#sending;
    clearTimeout(limit);
    this.#stop.abort();
  }

  #deliver(): void {
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = undefined;
    });
  }

  async #sendAll(): Promise<void> {
    // Lines that come meanwhile are no longer late: with steady traffic there may always be one.
    let keptBack = this.#lines.length;
    for (let line = this.#lines[0]; line !== undefined; line = this.#lines[0]) {
      try {
        await this.#options.send(line, this.#stop.signal);
      } catch {
        // The next line or the logger's return tries again.
        if (this.#state !== "delivering") return;
        this.#state = "failing";
        return this.#options.onDegraded();
      }
      this.#lines.shift();
      keptBack -= 1;
      if (keptBack <= 0) this.#recovered();
    }
    this.#recovered();
  }

  #recovered(): void {
    if (this.#state !== "failing") return;
    this.#state = "delivering";
    this.#options.onRecovered();
  }
}
