import type { Unsubscribe } from "../internal/emitter.js";
import type { Revision } from "../model/catalog.js";
import type { Catalog } from "./catalog.js";
import type { ServiceView } from "./service-view.js";
import { type VersionRange, VersionRanges } from "./version-range.js";
import { WatchGroup } from "./watch-group.js";
import { Watcher, type WatcherHost } from "./watcher.js";

/** What a watcher asks for. */
export interface WatchOptions {
  /** A complete `x.y.z` is a minimum, anything else an npm range. @default any version */
  readonly minVersion?: string | undefined;
  /** Whether each provider's endpoint, state and reason are watched, or the state of the type only. @default false */
  readonly includeProviders?: boolean | undefined;
  /** The last revision that the watcher saw: the present state is left out if nothing has changed since. */
  readonly resumeRevision?: Revision | undefined;
  /** Ends the watch. */
  readonly signal?: AbortSignal | undefined;
}

/** Tells watchers of service types what changes. */
export class WatchHub {
  readonly #catalog: Catalog;
  readonly #ranges: VersionRanges;
  readonly #unsubscribe: Unsubscribe;
  /** By type, then by what is asked. */
  readonly #groups = new Map<string, Map<string, WatchGroup>>();
  #openWatches = 0;
  #closed = false;

  constructor(catalog: Catalog, ranges = new VersionRanges()) {
    this.#catalog = catalog;
    this.#ranges = ranges;
    this.#unsubscribe = catalog.subscribe((event) => {
      for (const type of event.touchedTypes) {
        for (const group of this.#groups.get(type)?.values() ?? []) group.announce();
      }
    });
  }

  /** Watches that have begun and not ended. */
  get openWatches(): number {
    return this.#openWatches;
  }

  /**
   * The present state of `type`, then every change of what was asked, and nothing else. A reader that is slower than
   * the changes gets the latest state, never all of them, and never the same state twice in a row. The watch begins
   * when the first view is asked for and ends with `signal`, with `return`, or when the hub closes; without an error.
   * An iterable may be iterated several times: each is a watch of its own.
   *
   * @throws PluginHostError `INVALID_ARGUMENT` if `minVersion` is no range
   */
  watch(type: string, options: WatchOptions = {}): AsyncIterable<ServiceView> {
    const range = this.#ranges.get(options.minVersion ?? "");
    const host: WatcherHost = {
      open: (watcher) =>
        this.#closed ? undefined : this.#join(watcher, type, range, options.includeProviders ?? false),
      close: (watcher, group) => this.#leave(watcher, group),
      hasSeen: (revision) => this.#hasSeen(type, revision),
    };
    return { [Symbol.asyncIterator]: () => new Watcher(host, options.resumeRevision, options.signal) };
  }

  /** Ends every watch; later ones end at once. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#unsubscribe();
    for (const groups of this.#groups.values()) for (const group of groups.values()) group.end();
  }

  #hasSeen(type: string, resume: Revision): boolean {
    const now = this.#catalog.revision;
    if (resume.epoch !== now.epoch || resume.number > now.number) return false;
    return resume.number >= this.#catalog.typeRevision(type);
  }

  #join(watcher: Watcher, type: string, range: VersionRange, withProviders: boolean): WatchGroup {
    const groups = this.#groups.get(type) ?? new Map<string, WatchGroup>();
    this.#groups.set(type, groups);
    const key = WatchGroup.keyOf(range, withProviders);
    const group = groups.get(key) ?? new WatchGroup(this.#catalog, type, range, withProviders);
    groups.set(key, group);
    group.join(watcher);
    this.#openWatches += 1;
    return group;
  }

  #leave(watcher: Watcher, group: WatchGroup): void {
    group.leave(watcher);
    this.#openWatches -= 1;
    if (group.size > 0) return;
    const groups = this.#groups.get(group.type);
    groups?.delete(group.key);
    if (groups?.size === 0) this.#groups.delete(group.type);
  }
}
