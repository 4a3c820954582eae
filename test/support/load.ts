import http from "node:http";

/** Calls one URL, a steady number at a time; each call was accepted by its host, or was not. */
export class Load {
  readonly failures: string[] = [];
  answered = 0;
  readonly #workers: Promise<void>[];
  readonly #url: string;
  readonly #expected: string;
  readonly #agent: http.Agent;
  #isStopped = false;
  #onAnswer = (): void => {};

  /** @param expected what each answer says */
  constructor(url: string, workers: number, expected: string) {
    this.#url = url;
    this.#expected = expected;
    this.#agent = new http.Agent({ keepAlive: true, maxSockets: workers });
    this.#workers = Array.from({ length: workers }, () => this.#work());
  }

  /** Resolves when so many calls have been answered. */
  untilAnswered(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#onAnswer = () => {
        if (this.answered >= count) resolve();
      };
      this.#onAnswer();
    });
  }

  /** Resolves when the last call is over. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#workers);
    this.#agent.destroy();
  }

  async #work(): Promise<void> {
    while (!this.#isStopped) {
      const outcome = await this.#call();
      if (outcome === "over") return;
      if (outcome !== "ok") this.failures.push(outcome);
      this.answered += 1;
      this.#onAnswer();
    }
  }

  /** A call that finds the host stopping (it says so, or nobody listens any more) was not accepted, which is fine. */
  #call(): Promise<string> {
    return new Promise((resolve) => {
      const request = http.get(this.#url, { agent: this.#agent }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("error", ({ message }) => resolve(`cut: ${message}`));
        response.on("end", () => {
          if (response.statusCode === 503) resolve("over");
          else
            resolve(response.statusCode === 200 && text === this.#expected ? "ok" : `${response.statusCode} ${text}`);
        });
      });
      request.on("error", (error: NodeJS.ErrnoException) => {
        const notSent = error.code === "ECONNREFUSED" || (error.code === "ECONNRESET" && request.reusedSocket);
        resolve(notSent ? "over" : `failed: ${error.code}`);
      });
    });
  }
}
