// Checked by the compiler, never run: what is wrong here must not compile. An expected error that does not come is an error itself.
import type { Client, ConnectError, Interceptor, ServiceImpl } from "@connectrpc/connect";
import { fallback, lastAnswers, requireBearer, resilience, retry } from "connect-plugin-host/interceptors";
import { type CircuitState, type DependencyState, definePlugin } from "connect-plugin-host/plugin";
import { expectTypeOf } from "vitest";
import { Logger } from "../../examples/gen/logger/v1/logger_pb.js";
import { echoOnly } from "../support/echo-plugin.js";
import { Echo, type SayRequest } from "../support/gen/echo/v1/echo_pb.js";

const base = { id: "app", version: "1.0.0" };

// From a description to a call.

definePlugin({
  ...base,
  requires: {
    echo: { service: Echo, minVersion: "1.0.0" },
    log: { service: Logger, required: false },
    pages: {},
  },
  async setup(plugin) {
    expectTypeOf(plugin.client("echo")).toEqualTypeOf<Client<typeof Echo>>();
    expectTypeOf(plugin.client("log")).toEqualTypeOf<Client<typeof Logger>>();
    // Without a text at all.
    expectTypeOf(plugin.client(Echo)).toEqualTypeOf<Client<typeof Echo>>();
    expectTypeOf((await plugin.client(Echo).say({ text: "hi" })).text).toEqualTypeOf<string>();

    // @ts-expect-error "ecko" is no entry of `requires`
    plugin.client("ecko");
    // @ts-expect-error "pages" has no description
    plugin.client("pages");
    // @ts-expect-error the request has no field "txt"
    await plugin.client("echo").say({ txt: "hi" });
    // @ts-expect-error a text is no number
    await plugin.client("echo").say({ text: 1 });
    // @ts-expect-error the answer has no field "txt"
    (await plugin.client("echo").say({ text: "" })).txt;
    // @ts-expect-error there is no method "shout"
    await plugin.client("echo").shout({ text: "hi" });
    // @ts-expect-error that is a method of the other service
    await plugin.client("echo").log({ message: "" });
    // @ts-expect-error a stream of requests is needed
    await plugin.client("echo").clientStream({ text: "hi" });

    plugin.onDependencyLost("log", (state) => expectTypeOf(state).toEqualTypeOf<DependencyState>());
    plugin.onDependencyBack("pages", () => {});
    // @ts-expect-error "logs" is no entry of `requires`
    plugin.onDependencyLost("logs", () => {});
    // @ts-expect-error "logs" is no entry of `requires`
    plugin.onDependencyBack("logs", () => {});
    expectTypeOf(plugin.circuitOf("echo")).toEqualTypeOf<CircuitState>();
    // @ts-expect-error "logs" is no entry of `requires`
    plugin.circuitOf("logs");
    plugin.degrade("slow", { unavailableDependencies: ["log"] }).recover();
    // @ts-expect-error "logs" is no entry of `requires`
    plugin.degrade("slow", { unavailableDependencies: ["logs"] });
    // @ts-expect-error what is healthy is not degraded
    plugin.degrade("slow", { state: "healthy" });
  },
});

definePlugin({
  ...base,
  requires: { echo: { service: Echo } },
  setup(plugin) {
    // @ts-expect-error the description stands in no entry of `requires`
    plugin.client(Logger);
  },
});

definePlugin({
  ...base,
  setup(plugin) {
    // @ts-expect-error nothing is required
    plugin.client("echo");
    // @ts-expect-error nothing is required
    plugin.client(Echo);
  },
});

// Entries of `requires`.

const nothing = () => {};

definePlugin({
  ...base,
  requires: { store: { service: Echo, anyOf: ["store-fast", "store-slow"], whenLost: "unhealthy", resilience: true } },
  setup(plugin) {
    expectTypeOf(plugin.client("store")).toEqualTypeOf<Client<typeof Echo>>();
    // @ts-expect-error one of several has no client of its own: which one it is may change at any time
    plugin.client("store-fast");
  },
});

// @ts-expect-error "servce" is misspelt
definePlugin({ ...base, requires: { echo: { servce: Echo, minVersion: "1.0.0" } }, setup: nothing });
// @ts-expect-error a text is no description
definePlugin({ ...base, requires: { echo: { service: "echo.v1.Echo" } }, setup: nothing });
// @ts-expect-error an entry is an object
definePlugin({ ...base, requires: { echo: Echo.typeName }, setup: nothing });
// @ts-expect-error service types are texts
definePlugin({ ...base, requires: { echo: { anyOf: [Echo] } }, setup: nothing });
// @ts-expect-error there is no such state
definePlugin({ ...base, requires: { echo: { whenLost: "gone" } }, setup: nothing });
// @ts-expect-error there is no such policy
definePlugin({ ...base, requires: { echo: { resilience: { retries: true } } }, setup: nothing });
// @ts-expect-error a rate has no default
definePlugin({ ...base, requires: { echo: { resilience: { rateLimit: true } } }, setup: nothing });

// Methods of an entry, named as in the proto.

definePlugin({
  ...base,
  requires: {
    narrow: { service: Logger, methods: ["Log"] },
    named: { service: Echo, methods: ["Say", "echo.v1.Echo/ServerStream", "other.Service/"] },
    none: { service: Echo, anyOf: ["a", "b"], methods: [] },
    plain: { methods: ["Whatever", "pages/"] },
  },
  setup(plugin) {
    expectTypeOf(plugin.client("narrow")).toEqualTypeOf<Pick<Client<typeof Logger>, "log">>();
    expectTypeOf(plugin.client(Logger)).toEqualTypeOf<Pick<Client<typeof Logger>, "log">>();
    // @ts-expect-error the host would refuse what is not among the methods
    plugin.client("narrow").listEntries({});
    // Written out in full it may be any method, and no methods are all of them.
    expectTypeOf(plugin.client("named")).toEqualTypeOf<Client<typeof Echo>>();
    expectTypeOf(plugin.client("none")).toEqualTypeOf<Client<typeof Echo>>();
  },
});
const computed: { service: typeof Logger; methods: string[] } = { service: Logger, methods: ["L", "og"] };
definePlugin({
  ...base,
  requires: { logger: computed },
  setup(plugin) {
    expectTypeOf(plugin.client("logger")).toEqualTypeOf<Client<typeof Logger>>();
  },
});
// @ts-expect-error "Lag" is misspelt
definePlugin({ ...base, requires: { logger: { service: Logger, methods: ["Lag"] } }, setup: nothing });
// @ts-expect-error one of the two is misspelt
definePlugin({ ...base, requires: { logger: { service: Logger, methods: ["Log", "ListEntry"] } }, setup: nothing });
// @ts-expect-error clients write it like this, the proto does not
definePlugin({ ...base, requires: { logger: { service: Logger, methods: ["listEntries"] } }, setup: nothing });
// @ts-expect-error that is a method of the other service
definePlugin({ ...base, requires: { logger: { service: Logger, methods: ["Say"] } }, setup: nothing });

// Implementations.

const provides = { echo: { service: Echo } };

definePlugin({
  ...base,
  provides,
  setup: () => ({
    echo: {
      ...echoOnly("app"),
      say: (request) => {
        expectTypeOf(request).toEqualTypeOf<SayRequest>();
        return { text: request.text };
      },
    },
  }),
});
// @ts-expect-error nothing answers `echo`
definePlugin({ ...base, provides, setup: () => ({}) });
// @ts-expect-error three methods are missing
definePlugin({ ...base, provides, setup: () => ({ echo: { say: () => ({}) } }) });
// @ts-expect-error the answer has no field "txt"
definePlugin({ ...base, provides, setup: () => ({ echo: { ...echoOnly("a"), say: () => ({ txt: "" }) } }) });
// @ts-expect-error nothing of that name is provided
definePlugin({ ...base, provides, setup: () => ({ echo: echoOnly("a"), ecko: echoOnly("a") }) });
// @ts-expect-error nothing is provided
definePlugin({ ...base, setup: () => ({ echo: echoOnly("a") }) });
// @ts-expect-error nothing of that name is provided
definePlugin({ ...base, provides, setup: async () => ({ echo: echoOnly("a"), ecko: echoOnly("a") }) });
// A class may have more than what is asked of it.
class EchoWithMore implements ServiceImpl<typeof Echo> {
  readonly #inner = echoOnly("a");
  say = this.#inner.say;
  serverStream = this.#inner.serverStream;
  clientStream = this.#inner.clientStream;
  bidiStream = this.#inner.bidiStream;
  helper(): void {}
}
definePlugin({ ...base, provides, setup: () => ({ echo: new EchoWithMore() }) });
// @ts-expect-error an answer of a stream is a stream
definePlugin({ ...base, provides, setup: () => ({ echo: { ...echoOnly("a"), serverStream: () => ({ text: "" }) } }) });
// @ts-expect-error the fields of a request are no arguments
definePlugin({ ...base, provides, setup: () => ({ echo: { ...echoOnly("a"), say: (text: string) => ({ text }) } }) });
// @ts-expect-error a handler of the wrong kind
definePlugin({ ...base, provides: { web: { handler: "fetch" } }, setup: () => ({ web: () => "text" }) });
const misspelt = { echo: { service: Echo, verson: "2.0.0" } } as const;
// @ts-expect-error "verson" is misspelt
definePlugin({ ...base, provides: misspelt, setup: () => ({ echo: echoOnly("a") }) });

// Interceptors.

expectTypeOf(retry()).toEqualTypeOf<Interceptor>();
expectTypeOf(resilience()).toEqualTypeOf<Interceptor[]>();
expectTypeOf(lastAnswers()).toEqualTypeOf<Interceptor>();
fallback(Echo.method.say, (request, error) => {
  expectTypeOf(request).toEqualTypeOf<SayRequest>();
  expectTypeOf(error).toEqualTypeOf<ConnectError>();
  return { text: request.text };
});
// @ts-expect-error the answer has no field "txt"
fallback(Echo.method.say, () => ({ txt: "" }));
// @ts-expect-error streams have no single answer
fallback(Echo.method.serverStream, () => ({ text: "" }));
// @ts-expect-error times are numbers
retry({ firstDelayMs: "1s" });
requireBearer({ tokens: new Map([["secret", { name: "ann" }]]) });
// @ts-expect-error tokens are in a map, or found by a function
requireBearer({ tokens: ["secret"] });
