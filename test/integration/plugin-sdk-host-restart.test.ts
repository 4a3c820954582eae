import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { Platform } from "../../src/index.js";
import { definePlugin, type PluginEvent, servePlugin } from "../../src/plugin/index.js";
import { conditions } from "../support/conditions.js";
import { echoOnly } from "../support/echo-plugin.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { within } from "../support/http-server.js";
import { manualClock } from "../support/manual-clock.js";

const echo = definePlugin({
  id: "echo",
  version: "1.0.0",
  provides: { echo: { service: Echo } },
  setup: () => ({ echo: echoOnly("echo") }),
});

/** The place of a host, where another one can take over. Nobody who stops says farewell, as when a machine is lost. */
async function startPlace(folder: string) {
  const path = join(folder, "place.sock");
  let host: string | undefined;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    if (host === undefined) return void socket.destroy();
    const upstream = connect(host);
    for (const [from, to] of [
      [socket, upstream],
      [upstream, socket],
    ] as const) {
      sockets.add(from);
      from.on("error", () => {}).once("close", () => to.destroy());
      from.pipe(to);
    }
  });
  server.listen(path);
  await once(server, "listening");
  const moveTo = (next: string | undefined): void => {
    host = next;
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  return {
    url: `unix:${path}`,
    moveTo,
    close() {
      moveTo(undefined);
      server.close();
    },
  };
}

/** A plugin that calls over HTTP, whose time stands still, and a host that can be replaced by one that knows nobody. */
async function startCaller() {
  const folder = await mkdtemp(join(tmpdir(), "host-restart-"));
  const place = await startPlace(folder);
  const platforms: Platform[] = [];
  const start = async (): Promise<void> => {
    const platform = new Platform();
    const path = join(folder, `host-${platforms.push(platform)}.sock`);
    await platform.listen({ path });
    await platform.addPlugin({ module: echo });
    place.moveTo(path);
  };
  await start();
  const clock = manualClock();
  const events: PluginEvent[] = [];
  const { look, until } = conditions();
  let client: Client<typeof Echo> | undefined;
  const caller = definePlugin({
    id: "caller",
    version: "1.0.0",
    requires: { echo: { service: Echo } },
    setup: (plugin) => {
      client = plugin.client("echo");
    },
  });
  const running = await servePlugin(caller, {
    hostUrl: place.url,
    env: {},
    clock,
    link: "off",
    graceMs: 100,
    onEvent: (event) => {
      events.push(event);
      look();
    },
  });
  const count = (kind: PluginEvent["kind"]): number => events.filter((event) => event.kind === kind).length;
  const more = (kind: PluginEvent["kind"]): (() => Promise<void>) => {
    const before = count(kind);
    return () =>
      within(
        3_000,
        kind,
        until(() => count(kind) > before),
      );
  };
  return {
    client: client as Client<typeof Echo>,
    clock,
    count,
    more,
    /** Resolves when the plugin has noticed that its host is gone, and a new one is there. */
    async restartHost(): Promise<void> {
      await within(
        3_000,
        "a registration",
        until(() => count("registered") === count("identified")),
      );
      const noticed = more("retrying");
      place.moveTo(undefined);
      await expect(client?.say({ text: "nobody there" })).rejects.toMatchObject({ code: Code.Unavailable });
      await noticed();
      await start();
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await running.stop();
      place.close();
      await Promise.all(platforms.map((platform) => platform.stop()));
      await rm(folder, { recursive: true });
    },
  };
}

async function* texts(): AsyncGenerator<{ text: string }> {
  yield { text: "a" };
  yield { text: "b" };
}

async function textsOf(messages: AsyncIterable<{ text: string }>): Promise<string> {
  let all = "";
  for await (const { text } of messages) all += text;
  return all;
}

const kinds: Readonly<Record<string, (client: Client<typeof Echo>) => Promise<string>>> = {
  unary: async (client) => (await client.say({ text: "ab" })).text,
  "server stream": (client) => textsOf(client.serverStream({ text: "ab", count: 1 })),
  "client stream": async (client) => (await client.clientStream(texts())).text,
  "bidirectional stream": (client) => textsOf(client.bidiStream(texts())),
};

// A message that no beginning of a stream may be as long as.
const longText = "x".repeat(100_000);

test.each(Object.entries(kinds))(
  "after a restart of the host no %s call fails, and none waits for a back-off to be over",
  async (_kind, call) => {
    await using caller = await startCaller();
    // The identity has held for a while.
    caller.clock.advance(2_000);
    await caller.restartHost();
    const calls = [call(caller.client), call(caller.client), call(caller.client)];
    expect(await within(3_000, "the answers", Promise.all(calls))).toEqual(["ab", "ab", "ab"]);
    expect(caller.count("identified")).toBe(2);
  },
);

test("a unary call that the restarted host does not know is made again however long its message is", async () => {
  await using caller = await startCaller();
  caller.clock.advance(2_000);
  await caller.restartHost();
  const answer = await within(3_000, "the answer", caller.client.say({ text: longText }));
  expect(answer.text).toBe(longText);
});

test("an identity that is refused as soon as it was given is replaced after a rest; calls wait, as long as their own time goes", async () => {
  await using caller = await startCaller();
  caller.clock.advance(2_000);
  await caller.restartHost();
  await within(3_000, "the answer", caller.client.say({ text: "a" }));
  await caller.restartHost();
  const waiting = caller.client.say({ text: "b" });
  const late = await caller.client.say({ text: "c" }, { timeoutMs: 50 }).catch(ConnectError.from);
  expect(late).toMatchObject({ code: Code.DeadlineExceeded });
  expect(caller.count("identified")).toBe(2);
  caller.clock.advance(5_000);
  expect((await within(3_000, "the answer", waiting)).text).toBe("b");
  expect(caller.count("identified")).toBe(3);
});
