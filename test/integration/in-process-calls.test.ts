import { create, createFileRegistry } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError, type HandlerContext, type Interceptor } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { type CallEvent, Platform, type PlatformOptions } from "../../src/index.js";
import { deferred } from "../../src/internal/deferred.js";
import { definePlugin, type PluginContext, servePlugin } from "../../src/plugin/index.js";
import { codeOf, failureOf, readAll, whenAborted } from "../contract/transports/outcome.js";
import { Echo, file_echo_v1_echo } from "../support/gen/echo/v1/echo_pb.js";
import { addModuleCaller } from "../support/module-caller.js";
import { type EchoOptions, echoPlugin } from "../support/plugins.js";

/** A platform without a port, with the accounts of calls to services. */
async function openPlatform(options: PlatformOptions = {}) {
  const platform = new Platform({
    health: { intervalMs: 1_000, retryMs: 10 },
    limits: { graceMs: 1_000, drainMs: 5_000, shutdownMs: 1_000 },
    ...options,
  });
  const calls: CallEvent[] = [];
  platform.on("call", (call) => calls.push(call));
  return { platform, calls, [Symbol.asyncDispose]: () => platform.stop() };
}

/** A program that is reached over HTTP only. */
const startProgram = (options: EchoOptions) => servePlugin(echoPlugin(options), { env: {}, graceMs: 500, link: "off" });

/** A module that provides `echo` as it is given. */
const providing = (echo: object) =>
  definePlugin({
    id: "echo",
    version: "1.0.0",
    provides: { echo: { service: Echo } },
    setup: () => ({ echo: echo as never }),
  });

test("modules call each other, and the host calls them, with no port open", async () => {
  await using host = await openPlatform();
  await host.platform.addPlugin({ module: echoPlugin() });
  const { client } = await addModuleCaller(host.platform);
  expect(await client.say({ text: "hi" })).toMatchObject({ text: "hi", provider: "echo@1.0.0" });
  expect(await host.platform.client(Echo).say({ text: "hi" })).toMatchObject({ text: "hi" });
  expect(host.platform.url).toBeUndefined();
  expect(host.calls.map(({ protocol }) => protocol)).toEqual(["in-process", "in-process"]);
});

test("a call is accounted for with all fields of a routed one", async () => {
  await using host = await openPlatform();
  const provider = await host.platform.addPlugin({ module: echoPlugin() });
  const caller = await addModuleCaller(host.platform);
  await caller.client.say({ text: "hi" });
  await readAll(caller.client.serverStream({ count: 2 }));
  expect(host.calls[0]).toEqual({
    caller: { kind: "plugin", runtimeId: caller.view.runtimeId, selfId: "caller" },
    provider: { runtimeId: provider.runtimeId, selfId: "echo" },
    serviceType: "echo",
    method: "/echo.v1.Echo/Say",
    protocol: "in-process",
    httpVersion: "none",
    status: 200,
    code: "ok",
    outcome: "completed",
    reason: "",
    requestBytes: 0,
    responseBytes: 0,
    durationMs: expect.any(Number),
    startedAt: expect.any(Number),
    traceparent: expect.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/),
  });
  expect(host.calls[1]).toMatchObject({ method: "/echo.v1.Echo/ServerStream", code: "ok", outcome: "completed" });
});

test("the caller's trace goes on to the provider and into the account", async () => {
  await using host = await openPlatform();
  await host.platform.addPlugin({ module: echoPlugin() });
  const { client } = await addModuleCaller(host.platform);
  const traceId = "0af7651916cd43dd8448eb211c80319c";
  await client.say({}, { headers: { traceparent: `00-${traceId}-b7ad6b7169203331-01` } });
  expect(host.calls[0]?.traceparent).toContain(traceId);
});

test("a call that is not allowed is refused with the reason, and the provider hears nothing of it", async () => {
  let said = 0;
  await using host = await openPlatform({
    authorize: ({ caller, method }) =>
      caller.kind === "plugin" && method === "/echo.v1.Echo/Say" ? "not before breakfast" : undefined,
  });
  await host.platform.addPlugin({
    module: echoPlugin({
      onSay: () => {
        said += 1;
      },
    }),
  });
  const { client } = await addModuleCaller(host.platform);
  const error = await failureOf(client.say({}));
  expect([error.code, error.rawMessage]).toEqual([Code.PermissionDenied, "not before breakfast"]);
  expect(await readAll(client.serverStream({ count: 1 }))).toHaveLength(1);
  await host.platform.client(Echo).say({});
  expect(said).toBe(1);
  expect(host.calls[0]).toMatchObject({ outcome: "refused", code: "permission_denied", status: 403 });
});

test("an unhealthy provider gets no calls, and its callers are told why and when to come back", async () => {
  let plugin: PluginContext | undefined;
  await using host = await openPlatform();
  await host.platform.addPlugin({
    module: echoPlugin({
      onSetup: (context) => {
        plugin = context;
      },
    }),
  });
  const { client } = await addModuleCaller(host.platform);
  await client.say({});
  const sick = new Promise<void>((resolve) => {
    host.platform.on("health", ({ health }) => health.state === "unhealthy" && resolve());
  });
  plugin?.reportHealth("unhealthy", "tired");
  await sick;
  const error = await failureOf(client.say({}));
  expect(error.code).toBe(Code.Unavailable);
  expect(error.rawMessage).toContain("tired");
  expect(error.metadata.get("retry-after")).toBe("1");
  expect(await codeOf(readAll(client.serverStream({})))).toBe("Unavailable");
});

test("a caller's rate counts, each call once", async () => {
  await using host = await openPlatform({ callerRate: { perSecond: 0.001, burst: 3 } });
  await host.platform.addPlugin({ module: echoPlugin() });
  await host.platform.listen();
  await using endpoint = await startProgram({ id: "far" });
  await host.platform.addPlugin({ endpoint: endpoint.url });
  const { client } = await addModuleCaller(host.platform);
  for (let index = 0; index < 3; index++) await client.say({});
  expect(await codeOf(client.say({}))).toBe("ResourceExhausted");
});

test("calls for any provider go to modules and to programs in turn", async () => {
  await using host = await openPlatform();
  await host.platform.addPlugin({ module: echoPlugin({ id: "near" }) });
  await host.platform.listen();
  await using endpoint = await startProgram({ id: "far" });
  await host.platform.addPlugin({ endpoint: endpoint.url });
  const { client } = await addModuleCaller(host.platform);
  const answers: string[] = [];
  for (let index = 0; index < 6; index++) answers.push((await client.say({})).provider);
  expect(answers.filter((answer) => answer.startsWith("near"))).toHaveLength(3);
  expect(answers.filter((answer) => answer.startsWith("far"))).toHaveLength(3);
  expect((await readAll(client.serverStream({ count: 3 }))).length).toBe(3);
  expect((await readAll(client.serverStream({ count: 3 }))).length).toBe(3);
  expect(host.calls.map(({ protocol }) => protocol).sort()).toEqual(
    [...Array(4).fill("in-process"), ...Array(3).fill("connect-unary"), "connect-stream"].sort(),
  );
});

test("a call that goes to a program takes the room of one call there, until it is over", async () => {
  const go = deferred();
  const begun = deferred();
  await using host = await openPlatform({ router: { maxInFlightPerProvider: 2 } });
  await host.platform.listen();
  let running = 0;
  await using endpoint = await startProgram({
    onSay: () => {
      running += 1;
      if (running === 2) begun.resolve();
      return go.promise;
    },
  });
  await host.platform.addPlugin({ endpoint: endpoint.url });
  const { client } = await addModuleCaller(host.platform);
  const calls = [client.say({}), client.say({})];
  await begun.promise;
  expect(host.platform.plugins().map(({ inFlight }) => inFlight)).toEqual([2, 0]);
  go.resolve();
  await Promise.all(calls);
  expect(host.platform.plugins().map(({ inFlight }) => inFlight)).toEqual([0, 0]);
});

test("the host's own code chooses among versions, and is told if there is none", async () => {
  await using host = await openPlatform();
  await host.platform.addPlugin({ module: echoPlugin({ version: "1.0.0" }) });
  await host.platform.addPlugin({ module: echoPlugin({ id: "newer", version: "2.0.0" }) });
  const newer = host.platform.client(Echo, { minVersion: "2.0.0" });
  expect(await newer.say({})).toMatchObject({ provider: "newer@2.0.0" });
  expect(await codeOf(host.platform.client(Echo, { minVersion: "3.0.0" }).say({}))).toBe("Unknown");
  expect(host.calls.map(({ protocol }) => protocol)).toEqual(["in-process"]);
});

test("a call waits for a full provider, in turn, as long as its caller does", async () => {
  const begun: (() => void)[] = [];
  const answered: (() => void)[] = [];
  const first = deferred();
  await using host = await openPlatform({ router: { maxInFlightPerProvider: 1, maxQueuedPerProvider: 3 } });
  await host.platform.addPlugin({
    module: echoPlugin({
      onSay: () =>
        new Promise<void>((resolve) => {
          answered.push(resolve);
          first.resolve();
          begun.shift()?.();
        }),
    }),
  });
  const { client } = await addModuleCaller(host.platform);
  const running = client.say({ text: "1" });
  await first.promise;
  const next = new Promise<void>((resolve) => begun.push(resolve));
  const second = client.say({ text: "2" });
  const stop = new AbortController();
  const impatient = codeOf(client.say({ text: "3" }, { signal: stop.signal }));
  const late = codeOf(client.say({ text: "4" }, { timeoutMs: 20 }));
  const refused = await failureOf(client.say({ text: "5" }));
  expect(refused.code).toBe(Code.Unavailable);
  expect(refused.rawMessage).toContain("more wait already");
  stop.abort();
  expect(await impatient).toBe("Canceled");
  expect(await late).toBe("DeadlineExceeded");
  answered[0]?.();
  expect(await running).toMatchObject({ text: "1" });
  await next;
  answered[1]?.();
  expect(await second).toMatchObject({ text: "2" });
  expect(answered).toHaveLength(2);
  expect(host.calls.map(({ outcome }) => outcome)).toEqual([
    "refused",
    "caller-gone",
    "refused",
    "completed",
    "completed",
  ]);
});

test("a stream waits for a full provider, too", async () => {
  const go = deferred();
  const begun = deferred();
  await using host = await openPlatform({ router: { maxInFlightPerProvider: 1 } });
  await host.platform.addPlugin({
    module: echoPlugin({
      onSay: () => {
        begun.resolve();
        return go.promise;
      },
    }),
  });
  const { client } = await addModuleCaller(host.platform);
  const running = client.say({});
  await begun.promise;
  const stream = readAll(client.serverStream({ count: 3 }));
  go.resolve();
  await running;
  expect(await stream).toHaveLength(3);
});

test("not one call fails while its provider is replaced again and again", async () => {
  await using host = await openPlatform();
  let { runtimeId } = await host.platform.addPlugin({ module: echoPlugin({ version: "1.0.0" }) });
  const { client } = await addModuleCaller(host.platform);
  const own = host.platform.client(Echo);
  const answers = new Set<string>();
  let running = true;
  const load = async (from: Client<typeof Echo>): Promise<number> => {
    let calls = 0;
    for (; running; calls++) {
      answers.add((await from.say({ text: "x" })).provider);
      expect(await readAll(from.serverStream({ count: 2 }))).toHaveLength(2);
    }
    return calls;
  };
  const loads = [load(client), load(client), load(own)];
  for (const version of ["2.0.0", "3.0.0", "4.0.0"]) {
    const plugin = await host.platform.replacePlugin(runtimeId, { module: echoPlugin({ version }) });
    ({ runtimeId } = plugin);
  }
  running = false;
  const counts = await Promise.all(loads);
  expect(counts.every((count) => count > 3)).toBe(true);
  expect([...answers]).toEqual(["echo@1.0.0", "echo@2.0.0", "echo@3.0.0", "echo@4.0.0"]);
  expect(host.calls.filter(({ outcome }) => outcome !== "completed")).toEqual([]);
  expect(host.platform.plugins().every(({ inFlight }) => inFlight === 0)).toBe(true);
});

test("a provider that is removed finishes its calls first", async () => {
  const go = deferred();
  const begun = deferred();
  await using host = await openPlatform();
  const { runtimeId } = await host.platform.addPlugin({
    module: echoPlugin({
      onSay: () => {
        begun.resolve();
        return go.promise;
      },
    }),
  });
  const { client } = await addModuleCaller(host.platform);
  const call = client.say({ text: "last" });
  await begun.promise;
  let removed = false;
  const removal = host.platform.removePlugin(runtimeId, { limits: { graceMs: 0 } }).then(() => {
    removed = true;
  });
  expect(await codeOf(untilRefused(client))).toMatch(/Unavailable|NotFound/);
  expect(removed).toBe(false);
  go.resolve();
  expect(await call).toMatchObject({ text: "last" });
  await removal;
  expect(await codeOf(client.say({}))).toBe("NotFound");
});

/** Makes calls until one fails. */
async function untilRefused(client: Client<typeof Echo>): Promise<void> {
  for (;;) {
    await readAll(client.serverStream({ count: 1 }));
  }
}

test("a call that takes longer than the drain is cut off as unavailable, and its provider is told", async () => {
  const told = deferred<unknown>();
  const begun = deferred();
  let signalOf: AbortSignal | undefined;
  await using host = await openPlatform();
  const { runtimeId } = await host.platform.addPlugin({
    module: definePlugin({
      id: "echo",
      version: "1.0.0",
      provides: { echo: { service: Echo } },
      setup: () => ({
        echo: {
          say(_: unknown, { signal }: { signal: AbortSignal }) {
            signalOf = signal;
            void whenAborted(signal).then(told.resolve);
            begun.resolve();
            return new Promise<never>(() => {});
          },
        } as never,
      }),
    }),
  });
  const { client } = await addModuleCaller(host.platform);
  const outcome = failureOf(client.say({}));
  await begun.promise;
  expect(signalOf?.aborted).toBe(false);
  await host.platform.removePlugin(runtimeId, { limits: { graceMs: 0, drainMs: 50 } });
  expect((await outcome).code).toBe(Code.Unavailable);
  expect(await told.promise).toMatchObject({ code: Code.Canceled });
  expect(host.calls[0]).toMatchObject({ outcome: "aborted", code: "unavailable", status: 503 });
});

test("a provider that does not answer in time counts as failed", async () => {
  await using host = await openPlatform({ router: { headersTimeoutMs: 50 } });
  await host.platform.addPlugin({ module: echoPlugin({ onSay: () => new Promise(() => {}) }) });
  const { client } = await addModuleCaller(host.platform);
  const error = await failureOf(client.say({}));
  expect(error.code).toBe(Code.Unavailable);
  expect(error.rawMessage).toContain("did not answer within 50 ms");
  expect(host.calls[0]).toMatchObject({ outcome: "provider-failed", status: 504 });
});

test("a call has as much time as it is given, also where no timer counts that far", async () => {
  await using host = await openPlatform();
  const onSay = async (): Promise<void> => {
    // A timer that is asked for more than it can count fires in a millisecond.
    for (const begin = performance.now(); performance.now() - begin < 5; ) await new Promise(setImmediate);
  };
  await host.platform.addPlugin({ module: echoPlugin({ onSay }) });
  const { client } = await addModuleCaller(host.platform);
  expect(await client.say({ text: "in time" }, { timeoutMs: 30 * 24 * 3_600_000 })).toMatchObject({ text: "in time" });
});

test("a request over the limit is refused, whole or in parts", async () => {
  await using host = await openPlatform({ router: { maxBodyBytes: 1_000 } });
  await host.platform.addPlugin({ module: echoPlugin() });
  const { client } = await addModuleCaller(host.platform);
  const text = "x".repeat(600);
  expect(await client.say({ text })).toMatchObject({ text });
  expect(await codeOf(client.say({ text: text + text }))).toBe("ResourceExhausted");
  async function* parts() {
    for (let index = 0; index < 3; index++) yield { text };
  }
  expect(await codeOf(client.clientStream(parts()))).toBe("ResourceExhausted");
  expect(host.calls.map(({ requestBytes }) => requestBytes)).toEqual([603, 1_203, 1_216]);
});

test("a stream on which nothing moves is cut off where that has a limit", async () => {
  await using host = await openPlatform({ router: { idleStreamMs: 40 } });
  await host.platform.addPlugin({ module: echoPlugin() });
  const { client } = await addModuleCaller(host.platform);
  const never = deferred();
  async function* silent() {
    yield { text: "a" };
    await never.promise;
  }
  const error = await failureOf(client.clientStream(silent()));
  expect([error.code, error.rawMessage]).toEqual([Code.Unavailable, "nothing moved in either direction for 40 ms"]);
  never.resolve();
});

test("the plugin's interceptors see its calls, and may change them", async () => {
  const seen: string[] = [];
  const interceptor: Interceptor = (next) => async (request) => {
    request.header.set("x-added", "1");
    const response = await next(request);
    seen.push(`${request.method.name} ${response.header.get("content-type")}`);
    return response;
  };
  await using host = await openPlatform();
  let header: Headers | undefined;
  await host.platform.addPlugin({
    module: definePlugin({
      id: "echo",
      version: "1.0.0",
      provides: { echo: { service: Echo } },
      setup: () => ({
        echo: {
          say(_: unknown, context: { requestHeader: Headers }) {
            header = context.requestHeader;
            return { text: "hi" };
          },
          async *serverStream() {
            yield { text: "hi" };
          },
        } as never,
      }),
    }),
  });
  const { client } = await addModuleCaller(host.platform, { interceptors: [interceptor] });
  expect(await client.say({}, { timeoutMs: 5_000 })).toMatchObject({ text: "hi" });
  expect(await readAll(client.serverStream({}))).toHaveLength(1);
  expect(header?.get("x-added")).toBe("1");
  expect(seen).toEqual(["Say application/proto", "ServerStream application/connect+proto"]);
  expect(host.calls.map(({ protocol }) => protocol)).toEqual(["in-process", "in-process"]);
});

test("the calls of a plugin that was removed are refused", async () => {
  await using host = await openPlatform();
  await host.platform.addPlugin({ module: echoPlugin() });
  const { client, view } = await addModuleCaller(host.platform);
  await client.say({});
  await host.platform.removePlugin(view.runtimeId);
  expect(["Unauthenticated", "Unavailable"]).toContain(await codeOf(client.say({})));
});

test("two generated files of one service understand each other", async () => {
  const set = create(FileDescriptorSetSchema, { file: [file_echo_v1_echo.proto] });
  const other = createFileRegistry(set).getService("echo.v1.Echo") as unknown as typeof Echo;
  expect(other).not.toBe(Echo);
  await using host = await openPlatform();
  await host.platform.addPlugin({ module: echoPlugin() });
  const { client } = await addModuleCaller(host.platform, { service: other });
  expect(await client.say({ text: "hi" })).toMatchObject({ text: "hi", provider: "echo@1.0.0" });
  expect(await readAll(client.serverStream({ text: "a", count: 2 }))).toHaveLength(2);
  expect(host.calls.map(({ protocol }) => protocol)).toEqual(["in-process", "in-process"]);
});

test("calls that follow one another without a pause leave timers their turn", async () => {
  await using host = await openPlatform();
  await host.platform.addPlugin({ module: echoPlugin() });
  const { client } = await addModuleCaller(host.platform);
  let fired = false;
  setTimeout(() => {
    fired = true;
  }, 1);
  let calls = 0;
  for (; !fired && calls < 100_000; calls++) await client.say({});
  expect(fired).toBe(true);
});

test("a stream whose provider yields what no message can hold ends, and its provider cleans up", async () => {
  const cleaned = deferred<boolean>();
  await using host = await openPlatform();
  await host.platform.addPlugin({
    module: providing({
      async *serverStream(_: unknown, { signal }: HandlerContext) {
        try {
          yield { text: "first" };
          yield { index: 2 ** 40 };
        } finally {
          cleaned.resolve(signal.aborted);
        }
      },
    }),
  });
  const { client } = await addModuleCaller(host.platform);
  const received: { readonly text: string }[] = [];
  const error = await failureOf(readAll<{ readonly text: string }>(client.serverStream({}), received));
  expect([error.code, received.map(({ text }) => text)]).toEqual([Code.Internal, ["first"]]);
  expect(await cleaned.promise).toBe(true);
  expect(host.platform.plugins().map(({ inFlight }) => inFlight)).toEqual([0, 0]);
});

test.each([0, 99])("an error with the code %i, which is none, is an unknown one", async (code) => {
  const fail = () => {
    throw new ConnectError("odd", code, { "x-odd": "1" });
  };
  await using host = await openPlatform();
  await host.platform.addPlugin({ module: providing({ say: fail, serverStream: fail }) });
  const { client } = await addModuleCaller(host.platform);
  for (const call of [client.say({}), readAll(client.serverStream({}))]) {
    const error = await failureOf(call);
    expect([error.code, error.rawMessage, error.metadata.get("x-odd")]).toEqual([Code.Unknown, "odd", "1"]);
  }
  expect(host.calls.map(({ code, outcome }) => `${outcome} ${code}`)).toEqual(Array(2).fill("completed unknown"));
});
