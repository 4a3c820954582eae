import { PluginHostError } from "./errors.js";
import { deferred } from "./internal/deferred.js";

/**
 * The starts of a set of plugins of which some cannot say, before they run, what they require and provide. Whoever lacks
 * something waits until another one is there, and is started again; it has failed when nobody is left who could bring it.
 */
export class SetStarts {
  readonly #mayWait: () => boolean;
  #underWay = 0;
  #done = 0;
  /** Resolves when a start is over. */
  #change = deferred();

  /** @param mayWait whether it can make a difference, asked before each wait */
  constructor(mayWait: () => boolean) {
    this.#mayWait = mayWait;
  }

  /** @throws what the last attempt did */
  async run<T>(start: () => Promise<T>): Promise<T> {
    for (;;) {
      const doneBefore = this.#done;
      try {
        return await this.#attempt(start);
      } catch (error) {
        if (!isMissing(error) || !(await this.#another(doneBefore))) throw error;
      }
    }
  }

  async #attempt<T>(start: () => Promise<T>): Promise<T> {
    this.#underWay += 1;
    try {
      const result = await start();
      this.#done += 1;
      return result;
    } finally {
      this.#underWay -= 1;
      this.#change.resolve();
      this.#change = deferred();
    }
  }

  /** Whether there is one more than before; waits for it as long as one may come. */
  async #another(doneBefore: number): Promise<boolean> {
    while (this.#mayWait()) {
      // First those begin that have waited for whoever has just been added.
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#done > doneBefore) return true;
      if (this.#underWay === 0) return false;
      await this.#change.promise;
    }
    return false;
  }
}

const isMissing = (error: unknown): boolean => error instanceof PluginHostError && error.code === "DEPENDENCY_MISSING";
