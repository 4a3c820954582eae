import type { Revision } from "../model/catalog.js";
import { type ServiceView, viewsDiffer } from "./service-view.js";
import type { WatchGroup } from "./watch-group.js";

/** What a watcher needs from its hub. */
export interface WatcherHost {
  /** Joins the group of those who ask the same; undefined if watching is over. */
  open(watcher: Watcher): WatchGroup | undefined;
  close(watcher: Watcher, group: WatchGroup): void;
  /** Whether nothing has changed since `revision`. */
  hasSeen(revision: Revision): boolean;
}

type Result = IteratorResult<ServiceView, undefined>;

const finished: Result = Object.freeze({ done: true, value: undefined });

/**
 * One reader of a group's views. It keeps nothing but the view that it saw last: whoever asks gets the view of that
 * moment if it differs, so a slow reader skips what is over, and memory stays flat. Written as an iterator, not as a
 * generator, because `return` must end a reader that waits, and because thousands of them are woken at once.
 */
export class Watcher implements AsyncIterator<ServiceView, undefined, undefined> {
  readonly #host: WatcherHost;
  readonly #resume: Revision | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #end = (): void => this.end();
  readonly #waiting: ((result: Result) => void)[] = [];
  #state: "new" | "open" | "ended" = "new";
  #group: WatchGroup | undefined;
  #seen: ServiceView | undefined;

  constructor(host: WatcherHost, resume: Revision | undefined, signal: AbortSignal | undefined) {
    this.#host = host;
    this.#resume = resume;
    this.#signal = signal;
  }

  next(): Promise<Result> {
    if (this.#state === "new") this.#open();
    if (this.#state === "ended") return Promise.resolve(finished);
    if (this.#waiting.length === 0) {
      const view = this.#news();
      if (view !== undefined) return Promise.resolve({ done: false, value: view });
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  return(): Promise<Result> {
    this.end();
    return Promise.resolve(finished);
  }

  /** The group has news: hands them to the reader if it waits. */
  wake(): void {
    if (this.#waiting.length === 0) return;
    const view = this.#news();
    if (view !== undefined) this.#waiting.shift()?.({ done: false, value: view });
  }

  /** Ends the watch; a reader that waits is told. Idempotent. */
  end(): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#signal?.removeEventListener("abort", this.#end);
    if (this.#group !== undefined) this.#host.close(this, this.#group);
    this.#group = undefined;
    this.#seen = undefined;
    for (const resolve of this.#waiting.splice(0)) resolve(finished);
  }

  #open(): void {
    const group = this.#signal?.aborted ? undefined : this.#host.open(this);
    this.#state = group === undefined ? "ended" : "open";
    if (group === undefined) return;
    this.#group = group;
    this.#signal?.addEventListener("abort", this.#end, { once: true });
    if (this.#resume !== undefined && this.#host.hasSeen(this.#resume)) this.#seen = group.current();
  }

  /** The group's view if the reader must be told of it, which counts as told then. */
  #news(): ServiceView | undefined {
    const view = this.#group?.current();
    if (view === undefined || (this.#seen !== undefined && !viewsDiffer(this.#seen, view))) return undefined;
    this.#seen = view;
    return view;
  }
}
