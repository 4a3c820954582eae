import { AsyncLocalStorage, createHook } from "node:async_hooks";
import { setImmediate as nextTurn } from "node:timers/promises";
import { failed } from "../expectation.js";

/** What can keep a process alive, by Node's names for it. */
const words: ReadonlyMap<string, string> = new Map([
  ["TCPSERVERWRAP", "listener"],
  ["TCPWRAP", "socket"],
  ["PIPESERVERWRAP", "listener of a Unix socket"],
  ["PIPEWRAP", "Unix socket or pipe"],
  ["UDPWRAP", "UDP socket"],
  ["PROCESSWRAP", "process"],
  ["FSEVENTWRAP", "watch of a file"],
  ["STATWATCHER", "watch of a file"],
  ["Timeout", "timer"],
]);

interface Resource {
  readonly word: string;
  /** Does not keep the process alive if it says no, as the idle connections of `fetch`. */
  readonly resource: { hasRef?(): boolean };
}

/** The listeners, sockets, timers and the like that one piece of work opens, in whatever it calls, and has not closed. */
export class OpenResources {
  readonly #work = new AsyncLocalStorage<true>();
  readonly #open = new Map<number, Resource>();
  readonly #hook = createHook({
    init: (id, kind, triggerId, resource) => {
      const word = words.get(kind);
      // A connection to a listener belongs to whoever opened the listener.
      if (word === undefined || !(this.#work.getStore() || this.#open.has(triggerId))) return;
      this.#open.set(id, { word, resource });
    },
    destroy: (id) => this.#open.delete(id),
  });

  /** Runs the work, and waits until all is closed. @throws AssertionError that names what is not, within the limit */
  async allClosedAfter(work: () => Promise<void>, limitMs: number): Promise<void> {
    this.#hook.enable();
    try {
      await this.#work.run(true, work);
      await settles(
        () => this.#left().length === 0,
        limitMs,
        () => `left behind: ${this.#left().join(", ")}`,
      );
    } finally {
      this.#hook.disable();
    }
  }

  #left(): string[] {
    return [...this.#open.values()].filter(({ resource }) => resource.hasRef?.() ?? true).map(({ word }) => word);
  }
}

/** Resolves as soon as `holds` is true: looked at each turn of the event loop, for what tells nobody of its end. */
export async function settles(holds: () => boolean, limitMs: number, describe: () => string): Promise<void> {
  const end = performance.now() + limitMs;
  while (!holds()) {
    if (performance.now() > end) throw failed(`${describe()}: not within ${limitMs} ms`);
    await nextTurn();
  }
}
