import { expect, test } from "vitest";
import type { PluginView } from "../../src/index.js";
import { startHost, type TestHost } from "../support/host.js";
import {
  crashable,
  echoPlugin,
  type FakePlugin,
  type FakePluginOptions,
  stall,
  startEndpoint,
  startFakePlugin,
} from "../support/plugins.js";

/** Small, seeded, good enough to choose with (mulberry32). */
function random(seed: number) {
  let state = seed;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return {
    below: (limit: number) => Math.floor(next() * limit),
    pick: <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T,
  };
}

const types = ["a", "b", "c", "d", "e"];

/** One plugin that the model believes to be there. */
interface Known {
  readonly runtimeId: string;
  readonly type: string;
  /** What it answers with. */
  readonly answer: string;
  readonly isAlive: () => boolean;
}

interface Candidate {
  readonly spec: { readonly endpoint: string } | { readonly module: ReturnType<typeof crashable> };
  /** Whether it can become a plugin. */
  readonly isGood: boolean;
  readonly isAlive: () => boolean;
}

/** Things that a program does between its start and its addition, or refuses to do. */
const badBehaviours: Record<string, FakePluginOptions["replies"]> = {
  refuses: { SetRuntimeIdentity: () => ({ acknowledged: false }) },
  rubbish: { GetPluginInfo: () => ({ provides: "everything" }) },
  stalls: { GetPluginInfo: stall },
  "stalls later": { SetRuntimeIdentity: stall },
  unhealthy: { GetHealth: () => ({ state: "HEALTH_STATE_UNHEALTHY", reason: "never" }) },
  silent: { GetHealth: stall },
};

class Run implements AsyncDisposable {
  readonly host: TestHost;
  readonly rnd: ReturnType<typeof random>;
  readonly known = new Map<string, Known>();
  readonly fakes: FakePlugin[] = [];
  readonly modules: ReturnType<typeof crashable>[] = [];
  readonly #stops: (() => PromiseLike<unknown>)[] = [];
  /** What went otherwise than it should have. */
  readonly surprises: string[] = [];
  #count = 0;

  constructor(host: TestHost, seed: number) {
    this.host = host;
    this.rnd = random(seed);
  }

  async candidate(type: string, answer: string): Promise<Candidate> {
    const kind = this.rnd.below(100);
    const id = `plugin-${type}`;
    const alive = (): boolean => true;
    if (kind < 30) {
      const module = crashable(echoPlugin({ id, type, answer }));
      this.modules.push(module);
      return { spec: { module }, isGood: true, isAlive: alive };
    }
    if (kind < 40) {
      const module = crashable(echoPlugin({ id, type, answer, onSetup: () => Promise.reject(new Error("no luck")) }));
      this.modules.push(module);
      return { spec: { module }, isGood: false, isAlive: alive };
    }
    if (kind < 50) {
      const endpoint = await startEndpoint({ id, type, answer });
      this.#stops.push(() => endpoint.stop());
      return { spec: { endpoint: endpoint.url }, isGood: true, isAlive: alive };
    }
    if (kind < 65) return this.#fake({ id, type, answer }, true);
    if (kind < 85) return this.#registersByItself({ id, type, answer });
    const [, replies] = this.rnd.pick(Object.entries(badBehaviours));
    return this.#fake({ id, type, answer, ...(replies && { replies }) }, false);
  }

  async #fake(options: FakePluginOptions, isGood: boolean): Promise<Candidate> {
    const fake = await startFakePlugin(options);
    this.fakes.push(fake);
    this.#stops.push(async () => fake[Symbol.asyncDispose]());
    return { spec: { endpoint: fake.url }, isGood, isAlive: () => true };
  }

  /** Shakes hands and registers by itself, early or late, once or twice, with one identity or with two. */
  async #registersByItself(options: FakePluginOptions): Promise<Candidate> {
    const when = this.rnd.pick(["GetPluginInfo", "SetRuntimeIdentity", "GetHealth"] as const);
    const handshakes = 1 + this.rnd.below(2);
    const saysWhere = this.rnd.below(2) === 0;
    let url = "";
    let isDone = false;
    const register = async (): Promise<void> => {
      if (isDone) return;
      isDone = true;
      for (let i = 0; i < handshakes; i++) {
        const identity = await this.host.handshake(options.id ?? "", saysWhere ? url : "");
        const service = {
          serviceType: options.type ?? "",
          version: "1.0.0",
          endpointPath: "/echo.v1.Echo/",
          metadata: { base_url: url },
        };
        // The operation may have been over before, for better or worse.
        await this.host
          .callerAs(identity)
          .registry.registerService(service)
          .catch(() => {});
      }
    };
    const answers = {
      GetPluginInfo: {
        selfId: options.id,
        selfVersion: "1.0.0",
        provides: [{ type: options.type, version: "1.0.0", path: "/echo.v1.Echo/" }],
      },
      SetRuntimeIdentity: { acknowledged: true },
      GetHealth: { state: "HEALTH_STATE_HEALTHY" },
    };
    const reply = async (): Promise<object> => {
      await register();
      return answers[when];
    };
    const candidate = await this.#fake({ ...options, replies: { [when]: reply } }, true);
    url = (candidate.spec as { endpoint: string }).endpoint;
    return candidate;
  }

  /** One operation, whatever it is; the model learns what the host answered. */
  async step(): Promise<void> {
    const kind = this.rnd.below(10);
    const number = this.#count++;
    const target = this.known.size === 0 ? undefined : this.rnd.pick([...this.known.values()]);
    if (kind < 5 || target === undefined) return this.#add(number);
    if (kind < 7) return this.#remove(target);
    return this.#replace(target, number);
  }

  readonly #limits = { describeMs: 150, identifyMs: 150, healthMs: 150, graceMs: 20, drainMs: 1_000, shutdownMs: 200 };

  async #add(number: number): Promise<void> {
    const type = this.rnd.pick(types);
    const answer = `answer ${number}`;
    const { spec, isGood, isAlive } = await this.candidate(type, answer);
    const limits = isGood ? { ...this.#limits, describeMs: 5_000, identifyMs: 5_000, healthMs: 5_000 } : this.#limits;
    const crashes = "module" in spec && this.rnd.below(8) === 0;
    try {
      const adding = this.host.platform.addPlugin({ ...spec, limits });
      if (crashes && "module" in spec) spec.module.crash("unlucky");
      this.#learn(await adding, type, answer, isAlive);
      if (!isGood) this.surprises.push(`add ${number} should have failed`);
    } catch (error) {
      if (isGood && !crashes) this.surprises.push(`add ${number}: ${String(error)}`);
    }
  }

  async #remove(target: Known): Promise<void> {
    try {
      await this.host.platform.removePlugin(target.runtimeId, { limits: { graceMs: 20, shutdownMs: 200 } });
      this.known.delete(target.runtimeId);
    } catch (error) {
      this.#expectConflict("remove", error);
    }
  }

  async #replace(target: Known, number: number): Promise<void> {
    const answer = `answer ${number}`;
    const { spec, isGood, isAlive } = await this.candidate(target.type, answer);
    const limits = isGood ? { ...this.#limits, describeMs: 5_000, identifyMs: 5_000, healthMs: 5_000 } : this.#limits;
    try {
      const view = await this.host.platform.replacePlugin(target.runtimeId, { ...spec, limits });
      this.known.delete(target.runtimeId);
      this.#learn(view, target.type, answer, isAlive);
      if (!isGood) this.surprises.push(`replace ${number} should have failed`);
    } catch (error) {
      if (isGood) this.#expectConflict(`replace ${number}`, error);
    }
  }

  /** Others may have taken the same plugin at the same time; that is the only excuse. */
  #expectConflict(what: string, error: unknown): void {
    const { code } = error as { code?: string };
    if (code !== "OPERATION_CONFLICT" && code !== "PLUGIN_NOT_FOUND") this.surprises.push(`${what}: ${String(error)}`);
  }

  #learn({ runtimeId }: PluginView, type: string, answer: string, isAlive: () => boolean): void {
    this.known.set(runtimeId, { runtimeId, type, answer, isAlive });
  }

  /** What anybody sees of the host equals the model. */
  async check(caller: Awaited<ReturnType<TestHost["caller"]>>): Promise<void> {
    const { platform } = this.host;
    const plugins = platform.plugins().filter(({ selfId }) => selfId !== "caller");
    const expected = [...this.known.keys()].sort();
    expect(plugins.map(({ runtimeId }) => runtimeId).sort()).toEqual(expected);
    expect(plugins.map(({ state }) => state)).toEqual(plugins.map(() => "serving"));
    const services = platform.registry
      .services()
      .flatMap(({ providers }) => providers.map(({ provider }) => provider.registration))
      .map(({ runtimeId, type }) => `${type} of ${runtimeId}`);
    expect(services.sort()).toEqual(
      [...this.known.values()].map(({ runtimeId, type }) => `${type} of ${runtimeId}`).sort(),
    );
    const order = platform.getStartupOrder().filter((id) => id !== caller.identity.runtimeId);
    expect([...order].sort()).toEqual(expected);
    const answers = await Promise.all(
      [...this.known.values()].map(async ({ runtimeId, type }) => [
        runtimeId,
        await caller.providerOf(runtimeId, type),
      ]),
    );
    const dead = new Set(plugins.filter(({ healthCause }) => healthCause === "exit").map(({ runtimeId }) => runtimeId));
    expect(answers).toEqual(
      [...this.known.values()].map(({ runtimeId, answer }) => [
        runtimeId,
        dead.has(runtimeId) ? "unavailable" : answer,
      ]),
    );
    expect(this.surprises).toEqual([]);
  }

  async [Symbol.asyncDispose]() {
    await Promise.all(this.#stops.map((stop) => stop()));
  }
}

/** Sockets, servers and timers that keep the process alive, by kind. */
function resources(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}

/** Node lists a closed handle a few turns longer, so it may take a moment until as little is there as before. */
async function untilNothingIsLeft(before: ReadonlyMap<string, number>): Promise<void> {
  const giveUpAt = performance.now() + 5_000;
  for (;;) {
    const left = [...resources()].filter(([kind, count]) => count > (before.get(kind) ?? 0) && kind !== "Immediate");
    if (left.length === 0) return;
    if (performance.now() > giveUpAt) expect(left).toEqual([]);
    await new Promise(setImmediate);
  }
}

test.each([1, 2, 3])(
  "two hundred operations, twenty at a time, leave the host as a simple model says, and in the end nothing (seed %s)",
  async (seed) => {
    const before = resources();
    await using host = await startHost({ health: { intervalMs: 60_000, retryMs: 20, startGraceMs: 100 } });
    await using run = new Run(host, seed);
    const caller = await host.caller();
    await caller.registry.discoverService({ serviceType: "a" }).catch(() => {});
    for (let round = 0; round < 10; round++) {
      await Promise.all(Array.from({ length: 20 }, () => run.step()));
      await run.check(caller);
    }
    expect(run.known.size).toBeGreaterThan(5);
    await host.platform.stop();
    expect(host.platform.plugins()).toEqual([]);
    expect(host.platform.registry.services()).toEqual([]);
    expect(run.modules.map(({ running }) => running)).toEqual(run.modules.map(() => 0));
    await host[Symbol.asyncDispose]();
    await Promise.all(run.fakes.map((fake) => fake.untilQuiet()));
    await run[Symbol.asyncDispose]();
    await untilNothingIsLeft(before);
  },
  30_000,
);
