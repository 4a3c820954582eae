import { deepEqual, ok } from "node:assert/strict";
import type { PluginView } from "../../index.js";
import { type DefinedPlugin, definePlugin, type PluginContext, servePlugin } from "../../plugin/index.js";
import { failed, until } from "../expectation.js";
import { startTestHost, type TestHost } from "../test-host.js";
import type { AdapterAnswer, AdapterField, AdapterUnderTest, OpenAdapter } from "./adapter-under-test.js";
import { OpenResources } from "./open-resources.js";
import { startPlainProvider } from "./plain-provider.js";

type Closing = () => Promise<unknown>;

const waitMs = 4_000;

/** A plugin of the host, and how it is told what to do. */
interface NativePlugin {
  readonly view: PluginView;
  readonly context: PluginContext;
  /** Keeps calls of `/hold` waiting until it is called. */
  release(): void;
  /** Resolves when such a call has come. */
  readonly held: Promise<void>;
}

/** What is told to a watch. */
interface Told {
  /** Resolves when the newest answer is of `name`, or when there is none if `name` is undefined. */
  untilFrom(name: string | undefined): Promise<void>;
  close(): Promise<void>;
}

/** What one case works with: a host that listens, the adapter over it, providers of both, and a plugin that calls them. */
export class AdapterBench {
  readonly host: TestHost;
  readonly adapter: OpenAdapter;
  readonly #underTest: AdapterUnderTest;
  /** What is closed at the end, the newest first. */
  readonly #open: Closing[];

  private constructor(host: TestHost, adapter: OpenAdapter, underTest: AdapterUnderTest, open: Closing[]) {
    this.host = host;
    this.adapter = adapter;
    this.#underTest = underTest;
    this.#open = open;
  }

  /** Runs a case, and looks afterwards whether anything of it is left. */
  static run(underTest: AdapterUnderTest, check: (bench: AdapterBench) => Promise<void>): Promise<void> {
    const work = () => AdapterBench.#run(underTest, check);
    return new OpenResources().allClosedAfter(work, underTest.host?.waitMs ?? waitMs);
  }

  static async #run(underTest: AdapterUnderTest, check: (bench: AdapterBench) => Promise<void>): Promise<void> {
    const host = await startTestHost({ waitMs, listen: true, ...underTest.host });
    const open: Closing[] = [() => host.stop()];
    const failures: unknown[] = [];
    const note = (error: unknown): void => void failures.push(error);
    const attempt = async (): Promise<void> => {
      const adapter = await underTest.open(host.platform);
      open.push(() => adapter.close());
      await check(new AdapterBench(host, adapter, underTest, open));
    };
    await attempt().catch(note);
    for (const close of open.reverse()) await close().catch(note);
    // What the case itself found comes first: the rest may follow from it.
    if (failures.length > 0) throw failures[0];
  }

  get waitMs(): number {
    return this.#underTest.host?.waitMs ?? waitMs;
  }

  fieldName(field: AdapterField): string {
    return this.#underTest.fields?.[field] ?? field;
  }

  refused(field: AdapterField, values: readonly string[]): readonly string[] {
    return this.#underTest.refused?.[field] ?? values;
  }

  /** An optional method of the adapter. */
  method<Name extends "list" | "heartbeat" | "watch">(name: Name): NonNullable<OpenAdapter[Name]> {
    const method = this.adapter[name];
    if (method === undefined) throw failed(`the adapter has no ${name}: say why in \`lacks\``);
    return method.bind(this.adapter) as NonNullable<OpenAdapter[Name]>;
  }

  /** Starts a program that answers with its name. */
  async provider(name: string): Promise<string> {
    const provider = await startPlainProvider(name);
    this.#open.push(() => provider.close());
    return provider.address;
  }

  /** Registers a new program of that name through the adapter. */
  async register(name: string, { type = "greeter", version = "1.0.0" } = {}): Promise<{ id: string; address: string }> {
    const address = await this.provider(name);
    return { address, ...(await this.adapter.register({ type, version, address, metadata: {} })) };
  }

  /** Adds a plugin of that name to the host, not through the adapter: one that listens, or one that has no address. */
  async add(name: string, { version = "1.0.0", as = "endpoint" as "endpoint" | "module" } = {}): Promise<NativePlugin> {
    let context: PluginContext | undefined;
    const [entered, released] = [signalled(), signalled()];
    const plugin = definePlugin({
      id: name,
      version,
      provides: { greeter: { handler: "fetch" } },
      setup(given) {
        context = given;
        return {
          greeter: async ({ url }) => {
            if (url.endsWith("/hold")) {
              entered.fire();
              await released.fired;
            }
            return new Response(name);
          },
        };
      },
    });
    this.#open.push(async () => released.fire());
    const view = as === "module" ? await this.host.add(plugin) : await this.#serve(plugin);
    return { view, context: context as unknown as PluginContext, held: entered.fired, release: released.fire };
  }

  async #serve(plugin: DefinedPlugin): Promise<PluginView> {
    const served = await servePlugin(plugin, { env: {}, directCalls: "allow" });
    this.#open.push(() => served.stop({ graceMs: 0 }));
    return this.host.add({ endpoint: served.url ?? "" });
  }

  /** A plugin that calls `greeter` over HTTP, with nothing but what the host tells it. */
  async caller(): Promise<(path?: string) => Promise<string | undefined>> {
    let context: PluginContext<{ greeter: object }> | undefined;
    const plugin = definePlugin({
      id: "caller",
      version: "1.0.0",
      requires: { greeter: { required: false } },
      setup(given) {
        context = given;
      },
    });
    const hostUrl = this.host.url ?? "";
    const served = await servePlugin(plugin, { env: {}, hostUrl, link: "off" });
    this.#open.push(() => served.stop({ graceMs: 0 }));
    return async (path = "/who") => {
      const response = await context?.fetch("greeter", path);
      const text = await response?.text();
      return response?.ok === true ? text : undefined;
    };
  }

  /** Name of the provider that the adapter gives out; undefined if it gives out none. */
  async found(minVersion?: string): Promise<string | undefined> {
    const answer = await this.adapter.discover("greeter", minVersion === undefined ? {} : { minVersion });
    return answer === undefined ? undefined : this.whoIs(answer);
  }

  /** Calls the address that the adapter gave. */
  async whoIs({ url, headers }: AdapterAnswer): Promise<string> {
    const response = await fetch(`${url}/who`, { headers: { ...headers }, signal: AbortSignal.timeout(this.waitMs) });
    const text = await response.text();
    ok(response.ok, `what was found does not answer at ${url}, but says ${response.status}: ${text}`);
    return text;
  }

  /** Who provides `greeter` for the platform, in which version and state, sorted. */
  inRegistry(): string[] {
    const all = this.host.platform.registry.providers("greeter");
    return all.map(({ provider, state }) => `${provider.registration.version} ${state}`).sort();
  }

  /** Opens a watch of `greeter`. */
  async watch(): Promise<Told> {
    const told: (string | undefined | Error)[] = [];
    let check = (): void => {};
    const off = await this.method("watch")("greeter", async (answer) => {
      // Held in the order of telling, whichever is answered first.
      const at = told.push("") - 1;
      told[at] = answer && (await this.whoIs(answer).catch((error: Error) => error));
      check();
    });
    const close = async (): Promise<void> => off();
    this.#open.push(close);
    const untilFrom = (name: string | undefined): Promise<void> =>
      until(
        () => told.length > 0 && told.at(-1) === name,
        this.waitMs,
        () => `the watch tells not of ${name ?? "nobody"}, but of ${told.map((one) => one ?? "nobody").join(", ")}`,
        (look) => {
          check = look;
          return () => {
            check = () => {};
          };
        },
      );
    return { untilFrom, close };
  }

  /** Everything that is told of the platform, by itself and by the adapter. */
  async picture(): Promise<unknown> {
    const { platform } = this.host;
    // First, because the adapter's asking itself may be seen in the platform from then on.
    const answer = await this.adapter.discover("greeter");
    const services = platform.registry.services().map(({ type, providers }) => ({
      type,
      providers: providers.map(({ provider: { registration }, state, reason }) => ({ registration, state, reason })),
    }));
    const ids = platform.plugins().map(({ runtimeId }) => runtimeId);
    return { services, ids, url: answer?.url, types: await this.adapter.list?.() };
  }

  /** An operation that has to be refused with this field's name, and to change nothing. */
  async refuses(what: string, field: AdapterField, operation: () => Promise<unknown>): Promise<void> {
    const before = await this.picture();
    const text = await operation().then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    if (text === undefined) throw failed(`${what} is not refused`);
    const name = this.fieldName(field);
    ok(text.includes(name), `${what} has to be refused with an error that names ${name}, not with: ${text}`);
    deepEqual(await this.picture(), before, `${what} was refused, and has changed something`);
  }
}

function signalled(): { readonly fired: Promise<void>; readonly fire: () => void } {
  let fire = (): void => {};
  const fired = new Promise<void>((resolve) => {
    fire = resolve;
  });
  return { fired, fire };
}
