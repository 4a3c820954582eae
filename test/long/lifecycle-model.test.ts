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
}

interface Candidate {
  readonly spec: { readonly endpoint: string } | { readonly module: ReturnType<typeof crashable> };
  /** Whether it can become a plugin. */
  readonly isGood: boolean;
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
  /** Known ones that have crashed. */
  readonly dead = new Set<string>();
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
    if (kind < 30) {
      const module = crashable(echoPlugin({ id, type, answer }));
      this.modules.push(module);
      return { spec: { module }, isGood: true };
    }
    if (kind < 40) {
      const module = crashable(echoPlugin({ id, type, answer, onSetup: () => Promise.reject(new Error("no luck")) }));
      this.modules.push(module);
      return { spec: { module }, isGood: false };
    }
    if (kind < 50) {
      const endpoint = await startEndpoint({ id, type, answer });
      this.#stops.push(() => endpoint.stop());
      return { spec: { endpoint: endpoint.url }, isGood: true };
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
    return { spec: { endpoint: fake.url }, isGood };
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

  /** Those that must fail by a limit do so soon; for the others the machine may be slow. */
  #limitsFor(isGood: boolean) {
    const waitMs = isGood ? 5_000 : 150;
    const limits = { graceMs: 20, drainMs: 1_000, shutdownMs: 200 };
    return { ...limits, describeMs: waitMs, identifyMs: waitMs, healthMs: waitMs };
  }

  async #add(number: number): Promise<void> {
    const type = this.rnd.pick(types);
    const answer = `answer ${number}`;
    const { spec, isGood } = await this.candidate(type, answer);
    const fate = "module" in spec ? this.rnd.below(6) : undefined;
    const adding = this.host.platform.addPlugin({ ...spec, limits: this.#limitsFor(isGood) });
    // Whenever it comes, before or after the commit, the host has to notice.
    if (fate === 0) this.#crashOnSetup(spec);
    try {
      const { runtimeId } = await adding;
      this.known.set(runtimeId, { runtimeId, type, answer });
      if (!isGood) this.surprises.push(`add ${number} should have failed`);
      if (fate === 1) await this.#crash(runtimeId, spec);
    } catch (error) {
      if (isGood && fate !== 0) this.surprises.push(`add ${number}: ${String(error)}`);
    }
  }

  #crashOnSetup(spec: Candidate["spec"]): void {
    if (!("module" in spec)) return;
    const off = this.host.platform.on("step", () => {
      if (spec.module.running === 0) return;
      off();
      spec.module.crash("unlucky");
    });
  }

  async #crash(runtimeId: string, spec: Candidate["spec"]): Promise<void> {
    if (!("module" in spec)) return;
    this.dead.add(runtimeId);
    spec.module.crash("unlucky");
    const view = (): PluginView | undefined =>
      this.host.platform.plugins().find((other) => other.runtimeId === runtimeId);
    await this.host.until(() => view()?.healthCause !== "polled" && view()?.healthCause !== "reported");
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
    const { spec, isGood } = await this.candidate(target.type, answer);
    const limits = this.#limitsFor(isGood);
    try {
      const { runtimeId } = await this.host.platform.replacePlugin(target.runtimeId, { ...spec, limits });
      this.known.delete(target.runtimeId);
      this.known.set(runtimeId, { runtimeId, type: target.type, answer });
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
    expect(answers).toEqual(
      [...this.known.values()].map(({ runtimeId, answer }) => [
        runtimeId,
        this.isDead(runtimeId) ? "unavailable" : answer,
      ]),
    );
    expect(this.surprises).toEqual([]);
  }

  /** One that was unlucky at its start may have been so a moment after its commit. */
  isDead(runtimeId: string): boolean {
    const view = this.host.platform.plugins().find((plugin) => plugin.runtimeId === runtimeId);
    return this.dead.has(runtimeId) || (view?.healthCause === "exit" && view.reason === "unlucky");
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
    await using host = await startHost({
      health: { intervalMs: 60_000, retryMs: 20, startGraceMs: 100 },
      // The model knows of no incarnations.
      supervision: false,
    });
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
  20_000,
);
