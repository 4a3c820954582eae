import type { CallEvent, Platform } from "connect-plugin-host";

/** Counts every call that a host carries, by what it tells in its events. */
export class CallLog {
  total = 0;
  /** Calls that did not end with `ok`. */
  refused = 0;
  /** Those of them that were for a logger, from a plugin that can do without. */
  refusedLogLines = 0;
  /** Calls to the cache; it writes one log line for each. */
  cacheCalls = 0;
  /** Log lines of the cache that a logger has taken. */
  logged = 0;
  readonly #platform: Platform;

  constructor(platform: Platform) {
    this.#platform = platform;
    platform.on("call", (event) => this.#take(event));
  }

  /** Begins to write down the steps of operations. The result says which were done, in their order. */
  recordSteps(): () => string[] {
    const done: string[] = [];
    const unsubscribe = this.#platform.on("step", ({ step, state }) => {
      if (state === "done") done.push(step);
    });
    return () => {
      unsubscribe();
      return done;
    };
  }

  /** Resolves with true when every log line is delivered, or with false after `limitMs`. */
  async untilLogged(limitMs: number): Promise<boolean> {
    const isDone = (): boolean => this.logged === this.cacheCalls;
    if (isDone()) return true;
    return new Promise((resolve) => {
      const unsubscribe = this.#platform.on("call", () => {
        if (isDone()) finish(true);
      });
      const limit = setTimeout(() => finish(false), limitMs);
      const finish = (result: boolean): void => {
        clearTimeout(limit);
        unsubscribe();
        resolve(result);
      };
    });
  }

  #take({ caller: principal, serviceType, code }: CallEvent): void {
    this.total += 1;
    const caller = principal.kind === "plugin" ? principal.selfId : principal.kind;
    if (code !== "ok") {
      this.refused += 1;
      if (serviceType === "logger") this.refusedLogLines += 1;
    } else if (serviceType === "cache") {
      this.cacheCalls += 1;
    } else if (serviceType === "logger" && caller === "cache-plugin") {
      this.logged += 1;
    }
  }
}
