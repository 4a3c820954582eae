import { PluginHostError } from "../../src/errors.js";
import { type Deferred, deferred } from "../../src/internal/deferred.js";
import type { PluginDeclaration } from "../../src/model/declarations.js";
import type { LaunchEnd, PluginLauncher } from "../../src/model/launch.js";

/** A program that only exists in memory, and ends when it is told to. */
export interface FakeProgram {
  readonly launcher: PluginLauncher;
  /** When it was launched, in monotonic milliseconds. */
  readonly launches: number[];
  readonly running: number;
  /** Each launch waits for it; then it runs, or fails if it is rejected. */
  gate: Promise<void>;
  /** Every running instance ends by itself. */
  crash(reason?: string): void;
}

export function fakeProgram(
  monotonic: () => number,
  given: Partial<PluginDeclaration> & { readonly selfId: string },
): FakeProgram {
  const instances = new Set<Deferred<LaunchEnd>>();
  const launches: number[] = [];
  let count = 0;
  const declares: PluginDeclaration = { selfVersion: "1.0.0", provides: [], requires: [], metadata: {}, ...given };
  const program: FakeProgram = {
    launches,
    get running() {
      return instances.size;
    },
    gate: Promise.resolve(),
    crash(reason = "it crashed") {
      for (const ended of instances) {
        ended.resolve({ reason, error: new PluginHostError("PLUGIN_EXITED", `${given.selfId} ended: ${reason}`) });
      }
    },
    launcher: {
      origin: "process",
      address: undefined,
      declares,
      async launch() {
        launches.push(monotonic());
        await program.gate;
        const ended = deferred<LaunchEnd>();
        instances.add(ended);
        count += 1;
        return {
          origin: "process",
          address: { kind: "unix", path: `/${given.selfId}/${count}`, protocols: undefined },
          ended: ended.promise,
          stop: async () => void instances.delete(ended),
        };
      },
    },
  };
  return program;
}
