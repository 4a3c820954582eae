import type { IdentityStore } from "./identity/identity-store.js";
import type { Clock, Timer } from "./internal/clock.js";
import { isSilent } from "./lifecycle/is-silent.js";
import type { PluginDirectory } from "./lifecycle/plugin-directory.js";

/** What a host looks after from time to time. */
export interface HostSweepParts {
  readonly clock: Clock;
  readonly options: { readonly tokenTtlMs: number; readonly hideSilentAfterMs: number };
  readonly identities: IdentityStore;
  readonly directory: PluginDirectory;
  readonly links: { proveAlive(): void };
  readonly broker: { sweep(): void };
}

const longestPauseMs = 3_600_000;

/** Ends what has expired, and hides who has fallen silent, a few times in the shortest of these spans. */
export class HostSweep {
  readonly #parts: HostSweepParts;
  #timer: Timer;

  constructor(parts: HostSweepParts) {
    this.#parts = parts;
    this.#timer = this.#later();
  }

  stop(): void {
    this.#timer.cancel();
  }

  #later(): Timer {
    const { tokenTtlMs, hideSilentAfterMs } = this.#parts.options;
    return this.#parts.clock.after(Math.min(tokenTtlMs / 4, hideSilentAfterMs / 4, longestPauseMs), () => {
      this.#sweep();
      this.#timer = this.#later();
    });
  }

  #sweep(): void {
    const { identities, directory, links, broker, options } = this.#parts;
    links.proveAlive();
    for (const runtimeId of identities.expire()) {
      const plugin = directory.get(runtimeId);
      if (plugin !== undefined) directory.retire(plugin, "it gave no sign of life for as long as a token lives");
    }
    for (const plugin of [...directory.all()]) {
      const silentMs = identities.silentMs(plugin.runtimeId) ?? 0;
      if (silentMs < options.hideSilentAfterMs || !isSilent(plugin, directory.reactions)) continue;
      directory.hide(plugin, "it gave no sign of life; its next call shows it again");
    }
    broker.sweep();
  }
}
