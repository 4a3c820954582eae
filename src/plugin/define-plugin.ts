import { PluginHostError } from "../errors.js";
import { connectInMemory } from "../http/memory-connection.js";
import { createOnePortServer } from "../http/one-port-server.js";
import { systemClock } from "../internal/clock.js";
import type {
  HostedModule,
  ModuleEnvironment,
  RunningInWorker,
  RunningModule,
  WorkerEnvironment,
  WorkerModule,
} from "../link/hosted-module.js";
import { MessagePortTransport } from "../link/message-port-transport.js";
import { defaultBackOff } from "./back-off.js";
import { parseHostUrl } from "./host-address.js";
import { defaultHandshake } from "./host-handshake.js";
import { measuredServices } from "./message-limits.js";
import type { Implementations, PluginContext, PluginOptions, Provides, Requires } from "./plugin-definition.js";
import { PluginInstance } from "./plugin-instance.js";
import { type ResolvedDefinition, resolveDefinition } from "./resolve-definition.js";
import { defaultTimes } from "./session-times.js";

/** A plugin, ready to run any number of times: `servePlugin` opens a port for it, a host runs it as a module. */
export class DefinedPlugin<P extends Provides = Provides, R extends Requires = Requires>
  implements HostedModule, WorkerModule
{
  /** What `provides` and `requires` were. For types only: there is nothing at run time. */
  declare readonly types?: { readonly provides: P; readonly requires: R };
  readonly #definition: ResolvedDefinition;

  /** Use {@link definePlugin}. */
  constructor(definition: ResolvedDefinition) {
    this.#definition = definition;
  }

  get id(): string {
    return this.#definition.id;
  }

  get version(): string {
    return this.#definition.version;
  }

  get declares(): HostedModule["declares"] {
    return { provides: this.#definition.provides, requires: this.#definition.requires };
  }

  /** Checked, with defaults. */
  get definition(): ResolvedDefinition {
    return this.#definition;
  }

  /** The same plugin; `see` gets the context of each instance just before `setup` does. For tests and tools. */
  observed(see: (plugin: PluginContext<R>) => void): DefinedPlugin<P, R> {
    const { setup } = this.#definition;
    return new DefinedPlugin({
      ...this.#definition,
      setup: (plugin) => {
        see(plugin as unknown as PluginContext<R>);
        return setup(plugin);
      },
    });
  }

  /** Starts one instance in the host's process. A host calls it. */
  async start({ hostUrl, connectHost, inProcess, signal }: ModuleEnvironment): Promise<RunningModule> {
    const server = createOnePortServer({ handler: (exchange) => instance.handler(exchange) });
    const instance = new PluginInstance({
      definition: this.#definition,
      host: undefined,
      ca: undefined,
      inProcess,
      link: "off",
      directCalls: "allow",
      hostSecret: "",
      onlyHost: parseHostUrl("hostUrl", hostUrl, connectHost),
      handshake: defaultHandshake,
      times: defaultTimes,
      clock: systemClock,
      backOff: defaultBackOff,
      onEvent: () => {},
      closeServer: () => server.close({ graceMs: closeGraceMs }),
    });
    const abandon = (): void => {
      void instance.stop({ graceMs: 0, reason: "the host gave up on the start", farewell: false });
    };
    if (signal.aborted) throw givenUp(this.id);
    signal.addEventListener("abort", abandon, { once: true });
    instance.start();
    instance.open("");
    try {
      // A setup that calls a dependency waits for the identity, which the host gives only to what has started.
      await Promise.race([instance.ready, instance.waitsForIdentity, instance.ended]);
    } catch (error) {
      await instance.stop({ graceMs: 0, reason: "the start failed", farewell: false });
      throw error;
    } finally {
      signal.removeEventListener("abort", abandon);
    }
    if (signal.aborted) throw givenUp(this.id);
    return {
      connect: () => {
        const [ours, theirs] = connectInMemory();
        server.accept(ours, { transport: "memory" });
        return theirs;
      },
      services: measuredServices(instance.services, this.#definition.server),
      ended: instance.ended,
      stop: (graceMs) => instance.stop({ graceMs, reason: "the host stops it", farewell: false }),
    };
  }

  /** Starts one instance in a worker thread, behind a link that the host holds the other end of. The thread's launch calls it. */
  async startInWorker({ port }: WorkerEnvironment): Promise<RunningInWorker> {
    const instance = new PluginInstance({
      definition: this.#definition,
      host: undefined,
      ca: undefined,
      inProcess: undefined,
      link: new MessagePortTransport(port),
      directCalls: "allow",
      hostSecret: "",
      onlyHost: undefined,
      handshake: defaultHandshake,
      times: defaultTimes,
      clock: systemClock,
      backOff: defaultBackOff,
      onEvent: () => {},
      closeServer: async () => {},
    });
    instance.start();
    instance.open("");
    // As in the host's process: a setup that calls a dependency waits for the identity, which comes over the link.
    await Promise.race([instance.ready, instance.waitsForIdentity, instance.ended]);
    return {
      ended: instance.ended,
      stop: (graceMs) => instance.stop({ graceMs, reason: "the host stops it", farewell: false }),
    };
  }
}

const givenUp = (id: string): PluginHostError =>
  new PluginHostError("OPERATION_ABORTED", `the start of ${id} was given up`);

/** How long connections may take to close when all calls are done; then they are cut. */
export const closeGraceMs = 500;

/**
 * Defines a plugin. The definition has no state: each start runs `setup` anew. Service types are the keys of `requires`
 * and `provides`; clients and implementations get their types from the descriptions given there.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names the field
 */
export function definePlugin<
  const P extends Provides = Record<never, never>,
  const R extends Requires = Record<never, never>,
  I extends Implementations<NoInfer<P>> = Implementations<NoInfer<P>>,
>(options: PluginOptions<P, R, I>): DefinedPlugin<NoInfer<P>, NoInfer<R>> {
  return new DefinedPlugin(resolveDefinition(options));
}
