import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { expect, test } from "vitest";
import { Platform } from "../../src/index.js";
import { definePlugin, type PluginEvent, type ServeOptions, servePlugin } from "../../src/plugin/index.js";
import { readAll } from "../contract/transports/outcome.js";
import { createAuthority } from "../support/certificates.js";
import { conditions } from "../support/conditions.js";
import { echoOnly } from "../support/echo-plugin.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { startHost } from "../support/host.js";

type EchoClient = Client<typeof Echo>;

const echoPlugin = (id: string, version = "1.0.0") =>
  definePlugin({
    id,
    version,
    provides: { echo: { service: Echo } },
    setup: () => ({ echo: echoOnly(`${id} ${version}`) }),
  });

/** Serves a plugin and lets tests wait for its events. */
async function serve(plugin: Parameters<typeof servePlugin>[0], options: ServeOptions) {
  const events: PluginEvent["kind"][] = [];
  const { look, until } = conditions();
  const onEvent = ({ kind }: PluginEvent): void => {
    events.push(kind);
    look();
  };
  const running = await servePlugin(plugin, {
    env: {},
    backOff: { firstMs: 5, longestMs: 50 },
    graceMs: 500,
    onEvent,
    ...options,
  });
  return {
    running,
    events,
    until: (wanted: PluginEvent["kind"], count = 1) =>
      until(() => events.filter((kind) => kind === wanted).length >= count),
    [Symbol.asyncDispose]: () => running.stop({ graceMs: 0 }),
  };
}

async function serveCaller(options: ServeOptions) {
  let client: EchoClient | undefined;
  const plugin = definePlugin({
    id: "caller",
    version: "1.0.0",
    requires: { echo: { service: Echo, required: false } },
    setup: (context) => {
      client = context.client("echo");
    },
  });
  return { ...(await serve(plugin, options)), client: client as EchoClient };
}

async function* texts(...given: string[]): AsyncGenerator<{ text: string }> {
  for (const text of given) yield { text };
}

/** One call of each kind. */
async function callAll(client: EchoClient): Promise<unknown[]> {
  return [
    (await client.say({ text: "a" })).text,
    (await readAll(client.serverStream({ text: "b", count: 3 }))).map(({ index }) => index),
    (await client.clientStream(texts("c", "d"))).text,
    (await readAll(client.bidiStream(texts("e", "f")))).map(({ text }) => text),
  ];
}
const all = ["a", [0, 1, 2], "cd", ["e", "f"]];

test("two plugins without ports call each other in all ways, and the host sees which", async () => {
  await using host = await startHost();
  const protocols = new Set<string>();
  host.platform.on("call", ({ protocol }) => void protocols.add(protocol));
  await using provider = await serve(echoPlugin("provider"), { hostUrl: host.url, listen: "never" });
  await using caller = await serveCaller({ hostUrl: host.url, listen: "never" });
  expect(await callAll(caller.client)).toEqual(all);
  expect(provider.running.url).toBe("");
  expect([...protocols]).toEqual(["link"]);
  const found = host.platform.plugins().find(({ selfId }) => selfId === "provider");
  expect(found).toMatchObject({ runtimeId: provider.running.runtimeId, state: "serving" });
});

test.each([
  ["Connect", createConnectTransport],
  ["gRPC", createGrpcTransport],
  ["gRPC-Web", createGrpcWebTransport],
] as const)("callers of %s over HTTP reach a plugin without a port", async (_, createTransport) => {
  await using host = await startHost();
  await using _provider = await serve(echoPlugin("provider"), { hostUrl: host.url, listen: "never" });
  const { runtimeId, token } = await host.handshake("outside");
  const transport = createTransport({
    httpVersion: "2",
    baseUrl: `${host.url}/services/echo/any`,
    interceptors: [
      (next) => (request) => {
        request.header.set("x-plugin-runtime-id", runtimeId);
        request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
    ],
  });
  expect(await callAll(createClient(Echo, transport))).toEqual(all);
});

test("links go over TLS with the plugin's own authorities", async () => {
  const authority = createAuthority();
  const { cert, key } = authority.issue();
  const platform = new Platform();
  await platform.listen({ port: 0, tls: { cert, key } });
  const settings = { hostUrl: platform.url as string, listen: "never", ca: authority.ca } as const;
  await using _provider = await serve(echoPlugin("provider"), settings);
  await using caller = await serveCaller(settings);
  expect(await callAll(caller.client)).toEqual(all);
  expect(caller.events).toContain("link-open");
  await platform.stop();
});

test("a plugin on a link calls one on plain HTTP in all ways", async () => {
  await using host = await startHost();
  await using provider = await serve(echoPlugin("provider"), { link: "off" });
  await host.platform.addPlugin({ endpoint: provider.running.url });
  await using caller = await serveCaller({ hostUrl: host.url, listen: "never" });
  expect(await callAll(caller.client)).toEqual(all);
});

test("a plugin without a port is removed: its calls end, it hears of it, and its link is closed", async () => {
  await using host = await startHost();
  await using provider = await serve(echoPlugin("provider"), { hostUrl: host.url, listen: "never" });
  await host.platform.removePlugin(provider.running.runtimeId as string);
  await provider.running.ended;
  expect(host.platform.plugins()).toEqual([]);
  expect(provider.events).toContain("stopping");
});

test("a plugin without a port is replaced while it is called, and no call fails", async () => {
  await using host = await startHost();
  await using provider = await serve(echoPlugin("provider"), { hostUrl: host.url, listen: "never" });
  await using caller = await serveCaller({ hostUrl: host.url, listen: "never" });
  let go = true;
  const seen = new Set([(await caller.client.say({})).provider]);
  const calling = (async () => {
    while (go) seen.add((await caller.client.say({})).provider);
  })();
  await host.platform.replacePlugin(provider.running.runtimeId as string, { module: echoPlugin("provider", "2.0.0") });
  go = false;
  await calling;
  seen.add((await caller.client.say({})).provider);
  expect([...seen]).toEqual(["provider 1.0.0", "provider 2.0.0"]);
  await provider.running.ended;
});

test("plugins without ports come back when their host is restarted", async () => {
  const directory = await mkdtemp(join(tmpdir(), "links-"));
  const path = join(directory, "host.sock");
  const first = new Platform();
  await first.listen({ path });
  const settings = { hostUrl: `unix:${path}`, listen: "never", heartbeatMs: 100 } as const;
  await using provider = await serve(echoPlugin("provider"), settings);
  await using caller = await serveCaller(settings);
  expect(await callAll(caller.client)).toEqual(all);
  await first.stop();
  const second = new Platform();
  await second.listen({ path });
  await Promise.all([provider.until("registered", 2), caller.until("link-open", 2)]);
  expect(await callAll(caller.client)).toEqual(all);
  await second.stop();
  await rm(directory, { recursive: true, force: true });
});

test("at a host that takes no links plugins with a port go on over HTTP, and those without refuse to start", async () => {
  await using host = await startHost({ link: false });
  await using provider = await serve(echoPlugin("provider"), { hostUrl: host.url });
  await using caller = await serveCaller({ hostUrl: host.url });
  expect(await callAll(caller.client)).toEqual(all);
  expect([...provider.events, ...caller.events].filter((kind) => kind.startsWith("link"))).toEqual([]);
  await expect(serve(echoPlugin("other"), { hostUrl: host.url, listen: "never" })).rejects.toMatchObject({
    code: "INVALID_ARGUMENT",
  });
});
