import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect as connectSocket, createServer } from "node:net";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import type { OutputEvent, Platform } from "../../src/index.js";
import { type CompiledLibrary, compileLibrary } from "../support/compiled-library.js";
import { membersOf, type SdkProbed, sdkProgram, startPlatform } from "../support/process-plugins.js";

let library: CompiledLibrary;

beforeAll(() => {
  library = compileLibrary("process-linked");
}, 60_000);

const openTo = (type: string) => ({ ingress: [{ prefix: "/", type, access: "open" as const }] });

async function ask(platform: Platform): Promise<SdkProbed> {
  const answer = await fetch(`${platform.url}/`);
  if (!answer.ok) throw new Error(await answer.text());
  return (await answer.json()) as SdkProbed;
}

/** Ports of this machine on which a process of the group listens. */
async function listeningPorts(group: number): Promise<string[]> {
  const { openPortsOf } = await import("../../src/launch/process-open-ports.js");
  return [...(await openPortsOf(group))];
}

const linesOf = (platform: Platform): string[] => {
  const lines: string[] = [];
  platform.on("output", ({ line }: OutputEvent) => lines.push(line));
  return lines;
};

test("a program made with the SDK opens no port under a host that takes links, and serves plain HTTP all the same", async () => {
  const platform = await startPlatform(openTo("sdk"));
  const plugin = await platform.addPlugin(sdkProgram(library));
  expect(plugin).toMatchObject({ selfId: "sdk", origin: "process", health: "healthy", pid: expect.any(Number) });
  expect(plugin.endpointUrl).toBeUndefined();
  expect(await listeningPorts(plugin.pid ?? 0)).toEqual([]);
  const { url, runtimeId, pid, headers } = await ask(platform);
  expect({ url, runtimeId, pid }).toEqual({ url: "", runtimeId: plugin.runtimeId, pid: plugin.pid });
  expect(Object.keys(headers)).not.toContain("x-plugin-host-secret");
  // One program, one identity: that of its handshake is that of its link.
  expect(platform.plugins().map(({ runtimeId }) => runtimeId)).toEqual([plugin.runtimeId]);
});

test.each([
  { why: "its own code wants a port", options: { listen: "always" }, env: {}, host: {} },
  { why: "its own code wants no link", options: { link: "off" }, env: {}, host: {} },
  { why: "its spec says that the host can do nothing", options: {}, env: { HOST_FEATURES: "" }, host: {} },
  { why: "the host takes no links", options: {}, env: {}, host: { link: false as const } },
])("it listens on PORT if $why", async ({ options, env, host }) => {
  const platform = await startPlatform({ ...openTo("sdk"), ...host });
  const plugin = await platform.addPlugin(sdkProgram(library, options, env));
  expect(plugin.endpointUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  expect(await ask(platform)).toMatchObject({ url: plugin.endpointUrl, runtimeId: plugin.runtimeId });
});

test("removing it asks it over its link to shut down, and nothing of it is left", async () => {
  const platform = await startPlatform();
  const lines = linesOf(platform);
  const plugin = await platform.addPlugin(sdkProgram(library));
  await platform.removePlugin(plugin.runtimeId);
  expect(await membersOf([plugin.pid ?? 0])).toEqual([]);
  // It had not seen SIGTERM when it began to stop, as it would say so by then.
  expect(lines).toContain("event stopping");
  expect(lines).toContain("event stopped");
});

test("replacing it by another without a port leaves no call without an answer", async () => {
  const platform = await startPlatform(openTo("sdk"));
  const first = await platform.addPlugin(sdkProgram(library));
  let isOver = false;
  const calls = (async () => {
    const pids = new Set<number>();
    while (!isOver) pids.add((await ask(platform)).pid);
    return pids;
  })();
  const second = await platform.replacePlugin(first.runtimeId, sdkProgram(library));
  isOver = true;
  const pids = await calls;
  pids.add((await ask(platform)).pid);
  expect([...pids]).toEqual([first.pid, second.pid]);
});

test("an open link alone keeps its token good", async () => {
  const platform = await startPlatform({ ...openTo("sdk"), tokenTtlMs: 600, health: { intervalMs: 600_000 } });
  const plugin = await platform.addPlugin(sdkProgram(library, { heartbeatMs: 600_000 }));
  // Three lives of a token without a poll, a report or a call.
  await new Promise((resolve) => setTimeout(resolve, 1_800));
  expect(platform.plugins().map(({ runtimeId }) => runtimeId)).toEqual([plugin.runtimeId]);
  expect((await ask(platform)).runtimeId).toBe(plugin.runtimeId);
});

/** Something in front of the host that can break the connections through it, and be closed for good. */
async function relayTo(platform: Platform) {
  const sockets = new Set<ReturnType<typeof connectSocket>>();
  let isOpen = true;
  const server = createServer((inbound) => {
    if (!isOpen) return void inbound.destroy();
    const outbound = connectSocket({ host: "127.0.0.1", port: Number(new URL(platform.url ?? "").port) });
    for (const [one, other] of [
      [inbound, outbound],
      [outbound, inbound],
    ] as const) {
      sockets.add(one);
      one.pipe(other);
      one
        .on("error", () => {})
        .on("close", () => {
          sockets.delete(one);
          other.destroy();
        });
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  onTestFinished(() => {
    isOpen = false;
    cut();
    server.close();
  });
  const address = server.address();
  const port = typeof address === "object" ? address?.port : 0;
  return {
    port,
    cut,
    close: () => {
      isOpen = false;
      cut();
    },
  };
}

/** A program that reaches the host through the relay, by the URL of its launch. */
const throughRelay = (port: number | undefined, backOff: object) => {
  const program = sdkProgram(library, { backOff });
  const script = `HOST_URL=$(echo "$HOST_URL" | sed "s/127.0.0.1:[0-9]*/127.0.0.1:${port}/") exec "$0" "$@"`;
  return { ...program, command: "/bin/sh", args: ["-c", script, program.command, ...program.args] };
};

test("a link that breaks comes back under the same identity", async () => {
  const platform = await startPlatform(openTo("sdk"));
  const relay = await relayTo(platform);
  const lines = linesOf(platform);
  const plugin = await platform.addPlugin(throughRelay(relay.port, { firstMs: 5, longestMs: 50 }));
  relay.cut();
  await expect.poll(() => lines.filter((line) => line === "event link-open").length, { timeout: 5_000 }).toBe(2);
  await expect.poll(() => platform.plugin(plugin.runtimeId).health, { timeout: 5_000 }).toBe("healthy");
  expect((await ask(platform)).pid).toBe(plugin.pid);
});

test("a link that breaks for good makes the plugin unhealthy, while its process lives and can still be removed", async () => {
  const platform = await startPlatform({
    ...openTo("sdk"),
    health: { fallThreshold: 1, retryMs: 10, startGraceMs: 0 },
    limits: { shutdownMs: 1_000 },
  });
  const relay = await relayTo(platform);
  const plugin = await platform.addPlugin(throughRelay(relay.port, { firstMs: 5, longestMs: 50 }));
  relay.close();
  await expect.poll(() => platform.plugin(plugin.runtimeId).health, { timeout: 5_000 }).toBe("unhealthy");
  expect(await readFile(`/proc/${plugin.pid}/stat`, "utf8")).toBeTruthy();
  const refused = await fetch(`${platform.url}/`);
  expect(refused.status).toBe(503);
  await platform.removePlugin(plugin.runtimeId);
  expect(await membersOf([plugin.pid ?? 0])).toEqual([]);
});
