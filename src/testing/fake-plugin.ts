import {
  type DefinedPlugin,
  definePlugin,
  type HealthVerdict,
  type HostedModule,
  type ModuleEnvironment,
  type PluginContext,
  type Requires,
  type RunningModule,
} from "../plugin/index.js";
import { failed } from "./expectation.js";
import type { Stub } from "./stub.js";

/** Stubs by service type. */
export type Stubs = Readonly<Record<string, Stub>>;

/** What a {@link fakePlugin} is. */
export interface FakePluginOptions<R extends Requires = Requires> {
  readonly id: string;
  /** @default "1.0.0" */
  readonly version?: string;
  /** What it offers, by service type. @default nothing */
  readonly provides?: Stubs;
  /** What it needs, by service type, as for `definePlugin`. @default nothing */
  readonly requires?: R;
  /** How it is when it starts. @default "healthy" */
  readonly health?: HealthVerdict;
}

/** A plugin for tests: answers with stubs, and is healthy, ill or dead as it is told. Runs in the process of its host. */
export interface FakePlugin<R extends Requires = Requires> extends HostedModule {
  /** How many instances run. */
  readonly running: number;
  /** The context of the newest instance, such as for its `client`. Throws if none has started. */
  readonly context: PluginContext<R>;
  /** All running instances, and those that start from now on, report this. */
  reportHealth(state: HealthVerdict, reason?: string): void;
  /** Ends all running instances as if their code had failed. Throws if none runs. */
  crash(reason?: string): void;
  /** The next start fails with this reason. */
  failNextStart(reason?: string): void;
}

/**
 * Makes a plugin for tests. Add it as any module: `host.add(fake)`, `platform.addPlugin({ module: fake })`.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` as `definePlugin`
 */
export function fakePlugin<const R extends Requires = Record<never, never>>(
  options: FakePluginOptions<R>,
): FakePlugin<R> {
  const { id, version = "1.0.0", provides = {}, requires = {} as R } = options;
  let health: { readonly state: HealthVerdict; readonly reason: string } = {
    state: options.health ?? "healthy",
    reason: "",
  };
  let failure: Error | undefined;
  let newest: PluginContext<R> | undefined;
  const running = new Map<
    object,
    { readonly context: PluginContext<R> | undefined; readonly crash: (error: Error) => void }
  >();
  const plugin: DefinedPlugin = definePlugin({
    id,
    version,
    requires: requires as Requires,
    provides: Object.fromEntries(
      Object.entries(provides).map(([type, { service, version: own }]) => [type, { service, version: own ?? version }]),
    ),
    setup(context) {
      const failure = takeFailure();
      if (failure !== undefined) throw failure;
      newest = context as unknown as PluginContext<R>;
      if (health.state !== "healthy") newest.reportHealth(health.state, health.reason);
      return Object.fromEntries(Object.entries(provides).map(([type, { implementation }]) => [type, implementation]));
    },
  });
  const takeFailure = (): Error | undefined => {
    const taken = failure;
    failure = undefined;
    return taken;
  };
  return {
    id: plugin.id,
    version: plugin.version,
    declares: plugin.declares,
    get running() {
      return running.size;
    },
    get context() {
      if (newest === undefined) throw failed(`${id} has not started yet`);
      return newest;
    },
    reportHealth(state, reason = "") {
      health = { state, reason };
      for (const { context } of running.values()) context?.reportHealth(state, reason);
    },
    crash(reason = "it crashed") {
      if (running.size === 0) throw failed(`${id} does not run, so that it cannot crash`);
      for (const { crash } of running.values()) crash(new Error(reason));
    },
    failNextStart(reason = "it fails to start") {
      failure = new Error(reason);
    },
    async start(environment: ModuleEnvironment): Promise<RunningModule> {
      const inner = await plugin.start(environment);
      let crash: (error: Error) => void = () => {};
      const crashed = new Promise<never>((_resolve, reject) => {
        crash = reject;
      });
      running.set(inner, { context: newest, crash });
      // Whoever ends it, it is over then.
      const forget = (): void => void running.delete(inner);
      crashed.catch(() => {
        forget();
        return inner.stop(0);
      });
      inner.ended.then(forget, forget);
      return {
        connect: () => inner.connect(),
        services: inner.services,
        ended: Promise.race([crashed, inner.ended]),
        stop: (graceMs) => inner.stop(graceMs),
      };
    },
  };
}
