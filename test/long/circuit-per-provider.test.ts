import { type CallOptions, type Client, Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { describe, expect, onTestFinished, test } from "vitest";
import { definePlugin, servePlugin } from "../../src/plugin/index.js";
import { circuitBreaker } from "../../src/plugin/interceptors/index.js";
import { echoOnly } from "../support/echo-plugin.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { startHost, type TestHost } from "../support/host.js";
import { type ManualClock, manualClock } from "../support/manual-clock.js";
import { type RunningCaller, startCaller, type Way, ways } from "../support/running-caller.js";

const openMs = 30_000;

const clientOf = ({ context }: RunningCaller): Client<typeof Echo> =>
  context.client("echo" as never) as Client<typeof Echo>;

const settings = (clock: ManualClock) => ({ service: Echo, resilience: { circuitBreaker: { clock, openMs } } });

/** A provider that counts its calls, and fails while it is told to. */
async function addProvider(way: Way, host: TestHost, id: string, fault?: ConnectError) {
  const provider = { id: "", calls: 0, fault, claims: "", isSilent: false, breaks: false };
  const silence = (): Promise<void> => (provider.isSilent ? new Promise(() => {}) : Promise.resolve());
  const heard = ({ responseHeader }: HandlerContext): void => {
    provider.calls += 1;
    if (provider.claims !== "") responseHeader.set("x-plugin-provider", provider.claims);
    if (provider.fault !== undefined) throw provider.fault;
  };
  const plugin = definePlugin({
    id,
    version: "1.0.0",
    provides: { echo: { service: Echo } },
    setup: () => ({
      echo: {
        ...echoOnly(id),
        async say({ text }: { text: string }, context: HandlerContext) {
          heard(context);
          await silence();
          return { text, provider: id };
        },
        async *serverStream({ text }: { text: string }, context: HandlerContext) {
          heard(context);
          await silence();
          yield { text: `${id} ${text}` };
          if (provider.breaks) throw broken();
        },
      } as never,
    }),
  });
  if (way === "in process") provider.id = (await host.platform.addPlugin({ module: plugin })).runtimeId;
  else {
    const link = way === "over HTTP" ? "off" : "auto";
    const running = await servePlugin(plugin, { env: {}, hostUrl: host.url, link, graceMs: 1_000 });
    onTestFinished(() => running.stop({ graceMs: 0 }));
    provider.id = running.runtimeId as string;
    await host.until(() => host.platform.plugins().find((one) => one.selfId === id)?.health === "healthy");
  }
  return provider;
}

const broken = () => new ConnectError("broken", Code.Internal);

const said = (client: Client<typeof Echo>, options: CallOptions = {}): Promise<string> =>
  client.say({ text: "hi" }, options).then(
    ({ provider }) => provider,
    (error: ConnectError) => Code[error.code] ?? "",
  );

const streamed = async (client: Client<typeof Echo>, options: CallOptions = {}): Promise<string> => {
  try {
    for await (const { text } of client.serverStream({ text: "hi", count: 1 }, options))
      return text.split(" ")[0] ?? "";
    return "nothing";
  } catch (error) {
    return Code[ConnectError.from(error).code] ?? "";
  }
};

const inTurn = async (times: number, one: () => Promise<string>): Promise<string[]> => {
  const all: string[] = [];
  for (let count = 0; count < times; count += 1) all.push(await one());
  return all;
};

const kinds = [
  { kind: "unary calls", call: said },
  { kind: "streams", call: streamed },
];

const pairs = ways.flatMap((way) => ways.map((providers) => ({ way, providers })));

describe.each(pairs)("a caller $way of providers $providers", ({ way, providers }) => {
  test.each(kinds)(
    "keeps away from the one that fails, goes on with the other, and tries it again later: $kind",
    async ({ call }) => {
      await using host = await startHost();
      const bad = await addProvider(providers, host, "bad", broken());
      const good = await addProvider(providers, host, "good");
      const clock = manualClock();
      await using caller = await startCaller(way, host, { echo: settings(clock) });
      const client = clientOf(caller);
      // They take turns.
      const first = await inTurn(6, () => call(client));
      expect(first.sort()).toEqual(["Internal", "Internal", "Internal", "good", "good", "good"]);
      expect(bad.calls).toBe(3);
      expect(new Set(await inTurn(10, () => call(client)))).toEqual(new Set(["good"]));
      expect(bad.calls).toBe(3);
      expect(good.calls).toBe(13);
      // Of the dependency as a whole there is nothing wrong.
      expect(caller.context.circuitOf("echo" as never)).toBe("closed");
      bad.fault = undefined;
      clock.advance(openMs - 1);
      expect(new Set(await inTurn(4, () => call(client)))).toEqual(new Set(["good"]));
      clock.advance(1);
      expect((await inTurn(4, () => call(client))).sort()).toEqual(["bad", "bad", "good", "good"]);
      const told = caller.events.flatMap((event) => (event.kind === "circuit" ? [[event.provider, event.state]] : []));
      if (way !== "in process") {
        expect(told).toEqual(["open", "half-open", "closed"].map((state) => [bad.id, state]));
      }
    },
  );
});

describe.each(ways)("a caller %s", (way) => {
  test.each(kinds)("with one provider that fails is told at once that its circuit is open: $kind", async ({ call }) => {
    await using host = await startHost();
    const bad = await addProvider(way, host, "bad", broken());
    const clock = manualClock();
    await using caller = await startCaller(way, host, { echo: settings(clock) });
    const client = clientOf(caller);
    expect(await inTurn(5, () => call(client))).toEqual([
      "Internal",
      "Internal",
      "Internal",
      "Unavailable",
      "Unavailable",
    ]);
    expect(bad.calls).toBe(3);
    expect(caller.context.circuitOf("echo" as never)).toBe("open");
    await expect(client.say({ text: "" })).rejects.toMatchObject({ cause: { code: "CIRCUIT_OPEN" } });
    const first = client.serverStream({ text: "", count: 1 })[Symbol.asyncIterator]().next();
    await expect(first).rejects.toMatchObject({ cause: { code: "CIRCUIT_OPEN" } });
    bad.fault = undefined;
    clock.advance(openMs);
    expect(await call(client)).toBe("bad");
    expect(caller.context.circuitOf("echo" as never)).toBe("closed");
  });

  test("keeps away from one whose streams break after their first message", async () => {
    await using host = await startHost();
    const bad = await addProvider(way, host, "bad");
    bad.breaks = true;
    await addProvider(way, host, "good");
    await using caller = await startCaller(way, host, { echo: settings(manualClock()) });
    const readAll = async (): Promise<string> => {
      try {
        let last = "";
        for await (const { text } of clientOf(caller).serverStream({ text: "hi", count: 1 })) last = text;
        return last;
      } catch (error) {
        return Code[ConnectError.from(error).code] ?? "";
      }
    };
    expect((await inTurn(6, readAll)).filter((text) => text === "Internal")).toHaveLength(3);
    expect(new Set(await inTurn(4, readAll))).toEqual(new Set(["good hi"]));
    expect(bad.calls).toBe(3);
  });

  test("finds a provider that comes while the circuits of all others are open, without waiting", async () => {
    await using host = await startHost();
    await addProvider(way, host, "bad", broken());
    await using caller = await startCaller(way, host, { echo: settings(manualClock()) });
    const client = clientOf(caller);
    await inTurn(4, () => said(client));
    await addProvider(way, host, "good");
    expect(await inTurn(3, () => said(client))).toEqual(["good", "good", "good"]);
  });

  test("does not change what others call", async () => {
    await using host = await startHost();
    const bad = await addProvider(way, host, "bad", broken());
    await addProvider(way, host, "good");
    await using caller = await startCaller(way, host, { echo: settings(manualClock()) });
    await inTurn(8, () => said(clientOf(caller)));
    expect(bad.calls).toBe(3);
    const other = (await host.caller("other")).echo("any");
    expect((await inTurn(4, () => said(other))).sort()).toEqual(["Internal", "Internal", "good", "good"]);
    expect(bad.calls).toBe(5);
  });

  test("has the same of a circuit breaker among the interceptors of a client", async () => {
    await using host = await startHost();
    const bad = await addProvider(way, host, "bad", broken());
    await addProvider(way, host, "good");
    const breaker = circuitBreaker({ clock: manualClock() });
    await using caller = await startCaller(way, host, { echo: { service: Echo, interceptors: [breaker] } });
    await inTurn(10, () => said(clientOf(caller)));
    expect(bad.calls).toBe(3);
    expect([breaker.stateOf("", bad.id), breaker.stateOf()]).toEqual(["open", "closed"]);
  });

  test("holds a provider's own word about others against nobody", async () => {
    await using host = await startHost();
    const good = await addProvider(way, host, "good");
    // As of an error that it hands on, which came from a call of its own.
    const fault = new ConnectError("broken", Code.Internal, { "x-plugin-provider": good.id });
    const bad = await addProvider(way, host, "bad", fault);
    good.claims = bad.id;
    await using caller = await startCaller(way, host, { echo: settings(manualClock()) });
    const client = clientOf(caller);
    for (const call of [said, streamed]) await inTurn(8, () => call(client));
    expect(bad.calls).toBe(3);
    expect((await inTurn(2, () => said(client))).sort()).toEqual(["good", "good"]);
  });
});

const told = (["in process", "over the link"] as const).flatMap((way) => ways.map((providers) => ({ way, providers })));

describe.each(told)("a caller $way", ({ way, providers }) => {
  test.each(kinds)(
    `keeps away from a provider ${providers} that never answers, and not from the other: $kind`,
    async (given) => {
      await using host = await startHost();
      const silent = await addProvider(providers, host, "silent");
      silent.isSilent = true;
      await addProvider(providers, host, "good");
      // Longer than the host takes until it says who was asked without an answer, and than the other may on a busy machine.
      const timeoutMs = 500;
      const resilience = { circuitBreaker: { clock: manualClock(), failures: 1 }, timeLimit: { timeoutMs } };
      await using caller = await startCaller(way, host, { echo: { service: Echo, resilience } });
      const call = () => given.call(clientOf(caller), given.kind === "streams" ? { timeoutMs } : {});
      expect((await inTurn(2, call)).sort()).toEqual(["DeadlineExceeded", "good"]);
      const later = await inTurn(4, () => given.call(clientOf(caller)));
      expect({ later, asked: silent.calls }).toEqual({ later: ["good", "good", "good", "good"], asked: 1 });
    },
  );
});
