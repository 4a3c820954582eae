import type { DescService } from "@bufbuild/protobuf";
import type { PluginSpec, PluginView } from "../index.js";
import {
  type ClientOf,
  type DefinedPlugin,
  type PluginContext,
  type Provides,
  type Requires,
  servePlugin,
} from "../plugin/index.js";
import { failed } from "./expectation.js";
import { type FakePlugin, fakePlugin } from "./fake-plugin.js";
import type { Stub } from "./stub.js";
import { startTestHost, type TestHost, type TestHostOptions } from "./test-host.js";

/** A stub for each dependency that has a service description. */
export type DependencyStubs<R extends Requires> = {
  readonly [Type in keyof R]?: R[Type] extends { readonly service: infer Desc extends DescService } ? Stub<Desc> : Stub;
};

/**
 * Where a plugin under test runs: as a module of the host, served on a port of this process and added as an endpoint, or
 * served and registering itself. `{ run }` takes anything that `addPlugin` does, which has to be the same plugin:
 * `{ run: { command: process.execPath, args: ["main.js"] } }`.
 */
export type TestPluginWay = "module" | "endpoint" | "self-registering" | { readonly run: PluginSpec };

/** Options of {@link testPlugin}. */
export interface TestPluginOptions<R extends Requires> {
  /** What stands in for its dependencies, by service type. All required ones have to be here. @default none */
  readonly dependencies?: DependencyStubs<R>;
  /** @default "module" */
  readonly as?: TestPluginWay;
  /** Options of the host. It listens if the way to run needs it. */
  readonly host?: TestHostOptions;
}

/** A plugin that runs in a host of its own, among stubs. */
export interface PluginUnderTest<P extends Provides, R extends Requires> extends AsyncDisposable {
  readonly host: TestHost;
  /** The plugin as the host sees it now. Throws if it is not there. */
  readonly view: PluginView;
  /** What `setup` got in the instance that started last. Throws where the plugin runs in another thread or process. */
  readonly context: PluginContext<R>;
  /** A typed client of one of its services, through the host. */
  client<Type extends ClientType<P>>(type: Type): ClientOf<P[Type]>;
  /** Resolves when the host sees the plugin in this state of health. */
  untilHealth(state: PluginView["health"]): Promise<PluginView>;
  /** Takes the provider of a dependency away, as if it had been removed. */
  lose(type: keyof R & string): Promise<void>;
  /** Brings it back, with the same stub. */
  restore(type: keyof R & string): Promise<void>;
  /** Stops the plugin and the host. */
  stop(): Promise<void>;
}

/** Service types of a plugin that have a service description. */
export type ClientType<P extends Provides> = {
  [Type in keyof P]: P[Type] extends { readonly service: DescService } ? Type : never;
}[keyof P] &
  string;

/**
 * Runs a plugin in a host in memory, with stubs for its dependencies. Resolves when the plugin serves.
 *
 * @throws PluginHostError as `addPlugin`; an AssertionError if a required dependency has no stub, or a stub no dependency
 */
export async function testPlugin<P extends Provides, R extends Requires>(
  plugin: DefinedPlugin<P, R>,
  options: TestPluginOptions<R> = {},
): Promise<PluginUnderTest<P, R>> {
  const { as = "module" } = options;
  const fakes = fakesOf(plugin, (options.dependencies ?? {}) as Readonly<Record<string, Stub | undefined>>);
  const host = await startTestHost({ listen: as !== "module", ...options.host });
  let context: PluginContext<R> | undefined;
  const stack: (() => Promise<void>)[] = [() => host.stop()];
  const stop = async (): Promise<void> => {
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) await next();
  };
  const fakeOf = (type: string): FakePlugin => {
    const fake = fakes.get(type);
    if (fake === undefined) throw failed(`there is no stub for ${type}; give one in \`dependencies\``);
    return fake;
  };
  try {
    for (const fake of fakes.values()) await host.add(fake);
    const observed = plugin.observed((given) => {
      context = given;
    });
    if (typeof as === "object") await host.add(as.run);
    else if (as === "module") await host.add(observed);
    else {
      const hostUrl = as === "endpoint" ? "" : (host.url ?? "");
      const served = await servePlugin(observed, { hostUrl, env: {} });
      stack.push(() => served.stop());
      if (as === "endpoint") await host.add({ endpoint: served.url });
      else await host.until(`${plugin.id} is not there`, () => isUp(host.find(plugin.id)));
    }
  } catch (error) {
    await stop().catch(() => {});
    throw error;
  }
  return {
    host,
    get view() {
      const view = host.find(plugin.id);
      if (view === undefined) throw failed(`${plugin.id} is not there any more`);
      return view;
    },
    get context() {
      if (context === undefined)
        throw failed(`${plugin.id} does not run in this thread, so that its context is out of reach`);
      return context;
    },
    client(type) {
      const service = plugin.definition.provides.find((provided) => provided.type === type);
      if (service?.kind.name !== "connect") throw failed(`${plugin.id} provides no described service ${type}`);
      return host.client(service.kind.service, { type }) as never;
    },
    untilHealth: (state) => host.untilHealth(plugin.id, state),
    async lose(type) {
      await host.remove(fakeOf(type).id);
    },
    async restore(type) {
      await host.add(fakeOf(type));
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

const isUp = (view: PluginView | undefined): boolean => view?.health === "healthy" || view?.health === "degraded";

/** One plugin for each dependency, so that each can go by itself. */
function fakesOf(
  { id, definition }: DefinedPlugin,
  stubs: Readonly<Record<string, Stub | undefined>>,
): Map<string, FakePlugin> {
  for (const { type, required } of definition.requires) {
    if (required && stubs[type] === undefined)
      throw failed(`${id} requires ${type}: give a stub in \`dependencies.${type}\``);
  }
  const fakes = new Map<string, FakePlugin>();
  for (const [type, stub] of Object.entries(stubs)) {
    if (stub === undefined) continue;
    const dependency = definition.requires.find((candidate) => candidate.type === type);
    if (dependency === undefined) {
      const known = definition.requires.map((candidate) => candidate.type).join(", ");
      throw failed(`${id} has no dependency ${type}; it requires ${known === "" ? "nothing" : known}`);
    }
    const version = stub.version ?? lowestVersion(dependency.minVersion);
    fakes.set(type, fakePlugin({ id: `${type}-stub`, version, provides: { [type]: stub } }));
  }
  return fakes;
}

/** The version that a range such as `1.2.0` or `^2` begins with. */
function lowestVersion(range: string): string {
  const [, major, minor = "0", patch = "0"] = /(\d+)(?:\.(\d+))?(?:\.(\d+))?/.exec(range) ?? [];
  return major === undefined ? "1.0.0" : `${major}.${minor}.${patch}`;
}
