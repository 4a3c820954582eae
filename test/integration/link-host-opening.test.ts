import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import http, { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromJson } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { HandshakeResponseSchema } from "../../src/gen/connectplugin/v1/handshake_pb.js";
import { Platform } from "../../src/index.js";
import { closeCode } from "../../src/link/frame.js";
import { startHost } from "../support/host.js";
import { linkPlugin } from "../support/link-plugin.js";

const hello = {
  coreProtocolVersion: 1,
  appProtocolVersion: 1,
  magicCookieKey: "CONNECT_PLUGIN",
  magicCookieValue: "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e",
};

async function featuresOf(host: Awaited<ReturnType<typeof startHost>>): Promise<string[]> {
  const { text } = await host.post("/connectplugin.v1.HandshakeService/Handshake", hello);
  return fromJson(HandshakeResponseSchema, JSON.parse(text), { ignoreUnknownFields: true }).hostFeatures;
}

/** What the host answers to an upgrade with these headers. */
function statusOf(url: string, path: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const upgrade = { connection: "Upgrade", upgrade: "connect-plugin-link/1" };
    const request = http.get(`${url}${path}`, { headers: { ...upgrade, ...headers } });
    request.once("upgrade", (answer, socket) => {
      socket.destroy();
      resolve(answer.statusCode ?? 0);
    });
    request.once("response", (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    request.on("error", reject);
  });
}

test("a host that listens says that it takes links, unless they are switched off", async () => {
  await using host = await startHost();
  expect(await featuresOf(host)).toContain("link-v1");
  await using without = await startHost({ link: false });
  expect(await featuresOf(without)).not.toContain("link-v1");
  const { runtimeId, token } = await without.handshake("p");
  const headers = { "x-plugin-runtime-id": runtimeId, authorization: `Bearer ${token}` };
  expect(await statusOf(without.url, "/link/v1", headers)).toBe(404);
});

test("only a plugin with a good identity gets a link, and others are told so in plain HTTP", async () => {
  await using host = await startHost({ adminToken: "0123456789abcdef" });
  const { runtimeId, token } = await host.handshake("p");
  const status = (headers: Record<string, string>) => statusOf(host.url, "/link/v1", headers);
  expect(await status({})).toBe(401);
  expect(await status({ "x-plugin-runtime-id": runtimeId, authorization: "Bearer wrong" })).toBe(401);
  expect(await status({ authorization: "Bearer 0123456789abcdef" })).toBe(401);
  const good = { "x-plugin-runtime-id": runtimeId, authorization: `Bearer ${token}` };
  expect(await status(good)).toBe(101);
  // As the URL of a host reads that a launched program was given.
  expect(await statusOf(host.url, "/_launch/0123456789/link/v1", good)).toBe(101);
  expect(await statusOf(host.url, "/_launch/0123456789/link/v1", {})).toBe(401);
  expect(await statusOf(host.url, "/link/v2", good)).toBe(404);
  expect(
    await status({ "x-plugin-runtime-id": runtimeId, authorization: `Bearer ${token}`, origin: "http://evil.test" }),
  ).toBe(403);
});

test("a bad WebSocket request of a plugin is answered and harms nobody", async () => {
  await using host = await startHost();
  const identity = await host.handshake("p");
  const headers = { "x-plugin-runtime-id": identity.runtimeId, authorization: `Bearer ${identity.token}` };
  const upgrade = { upgrade: "websocket", "sec-websocket-protocol": "connect-plugin-link.v1" };
  expect(await statusOf(host.url, "/link/v1", { ...headers, ...upgrade })).toBe(400);
  await using plugin = await linkPlugin(host.url, identity);
  expect(plugin.session.state).toBe("open");
  expect(host.warnings).toEqual([]);
});

test("a link opens over a Unix socket", async () => {
  const folder = await mkdtemp(join(tmpdir(), "link-host-"));
  const path = join(folder, "host.sock");
  await using platform = new Platform();
  await platform.listen({ path });
  const answer = await new Promise<string>((resolve, reject) => {
    const request = http.request(
      {
        socketPath: path,
        path: "/connectplugin.v1.HandshakeService/Handshake",
        method: "POST",
        headers: { "content-type": "application/json" },
      },
      (response) => {
        let body = "";
        response.on("data", (chunk) => {
          body += chunk;
        });
        response.on("end", () => resolve(body));
      },
    );
    request.on("error", reject);
    request.end(JSON.stringify({ ...hello, selfId: "p", selfVersion: "1.0.0" }));
  });
  const {
    runtimeId,
    runtimeToken: token,
    hostFeatures,
  } = JSON.parse(answer) as { runtimeId: string; runtimeToken: string; hostFeatures: string[] };
  expect(hostFeatures).toContain("link-v1");
  await using plugin = await linkPlugin(`unix:${path}`, { runtimeId, token });
  expect((await plugin.register("echo")).startsWith("reg-")).toBe(true);
  await rm(folder, { recursive: true, force: true });
});

test("a mounted host takes links through its upgrade handler, and says so once that is in use", async () => {
  await using platform = new Platform();
  const server: Server = createServer(platform.handler);
  const post = async (): Promise<{ hostFeatures: string[]; runtimeId: string; runtimeToken: string }> => {
    const { port } = server.address() as AddressInfo;
    const body = JSON.stringify({ ...hello, selfId: "p", selfVersion: "1.0.0" });
    const headers = { "content-type": "application/json" };
    return (
      await fetch(`http://127.0.0.1:${port}/connectplugin.v1.HandshakeService/Handshake`, {
        method: "POST",
        headers,
        body,
      })
    ).json() as never;
  };
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  expect((await post()).hostFeatures).not.toContain("link-v1");
  server.on("upgrade", platform.upgradeHandler);
  const { hostFeatures, runtimeId, runtimeToken: token } = await post();
  expect(hostFeatures).toContain("link-v1");
  await using plugin = await linkPlugin(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, {
    runtimeId,
    token,
  });
  expect(plugin.session.state).toBe("open");
  server.closeAllConnections();
  server.close();
});

test("a newer link replaces the older one, and a renewed token changes nothing", async () => {
  await using host = await startHost();
  const identity = await host.handshake("p");
  await using first = await linkPlugin(host.url, identity);
  const renewed = await host.handshake("p", "", identity);
  expect(renewed.runtimeId).toBe(identity.runtimeId);
  expect(first.session.state).toBe("open");
  await using second = await linkPlugin(host.url, renewed);
  expect((await first.closed).code).toBe(closeCode.replaced);
  expect(await second.register("echo")).toMatch(/^reg-/);
});

test("a link ends as revoked when its plugin is removed, and its identity opens no other", async () => {
  await using host = await startHost();
  const identity = await host.handshake("p");
  await using plugin = await linkPlugin(host.url, identity);
  await plugin.register("echo");
  await host.platform.removePlugin(identity.runtimeId, { limits: { graceMs: 0 } });
  expect((await plugin.closed).code).toBe(closeCode.revoked);
  await expect(linkPlugin(host.url, identity)).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
});

test("there are not more links than the host takes", async () => {
  await using host = await startHost({ link: { maxLinks: 1 } });
  await using plugin = await linkPlugin(host.url, await host.handshake("a"));
  await expect(linkPlugin(host.url, await host.handshake("b"))).rejects.toMatchObject({ details: { status: 503 } });
  expect(plugin.session.state).toBe("open");
});

test("a host that stops ends links in good order", async () => {
  const host = await startHost();
  const plugin = await linkPlugin(host.url, await host.handshake("p"));
  await plugin.register("echo");
  const stopped = host[Symbol.asyncDispose]();
  expect(await plugin.goneAway).toMatch(/stopping/);
  await plugin.closed;
  await stopped;
});
