import type { Catalog } from "./catalog.js";
import { type ServiceView, takeView, viewsDiffer } from "./service-view.js";
import type { VersionRange } from "./version-range.js";
import type { Watcher } from "./watcher.js";

/**
 * Everybody who watches the same: one type, one range, with or without providers. The view is taken once for all of
 * them; each compares it with what it saw last.
 */
export class WatchGroup {
  readonly type: string;
  readonly key: string;
  readonly #catalog: Catalog;
  readonly #range: VersionRange;
  readonly #withProviders: boolean;
  readonly #watchers = new Set<Watcher>();
  #view: ServiceView;
  /** Whether a view was taken that differs from the one before it, since the readers were last woken. */
  #news = false;

  constructor(catalog: Catalog, type: string, range: VersionRange, withProviders: boolean) {
    this.type = type;
    this.key = WatchGroup.keyOf(range, withProviders);
    this.#catalog = catalog;
    this.#range = range;
    this.#withProviders = withProviders;
    this.#view = takeView(catalog, type, range, withProviders);
  }

  /** One text for each thing that can be asked of a type. */
  static keyOf(range: VersionRange, withProviders: boolean): string {
    return `${withProviders ? "providers" : "state"} ${range.wanted}`;
  }

  get size(): number {
    return this.#watchers.size;
  }

  join(watcher: Watcher): void {
    this.#watchers.add(watcher);
  }

  leave(watcher: Watcher): void {
    this.#watchers.delete(watcher);
  }

  /** The view of now. */
  current(): ServiceView {
    if (this.#catalog.typeRevision(this.type) > this.#view.revision.number) {
      const view = takeView(this.#catalog, this.type, this.#range, this.#withProviders);
      this.#news ||= viewsDiffer(this.#view, view);
      this.#view = view;
    }
    return this.#view;
  }

  /** The type has changed: wakes all readers if what they asked for has, now or in a view that somebody took since. */
  announce(): void {
    this.current();
    if (!this.#news) return;
    this.#news = false;
    for (const watcher of this.#watchers) watcher.wake();
  }

  /** Ends all readers. */
  end(): void {
    for (const watcher of this.#watchers) watcher.end();
  }
}
