import { mkdtemp, rm, stat } from "node:fs/promises";
import http from "node:http";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Platform } from "../../src/index.js";
import { echoPlugin } from "../support/plugins.js";

const adminToken = "an-admin-token-of-tests";
const listPlugins = "/connectplugin.admin.v1.PlatformService/ListPlugins";

async function temporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), "admin-test-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Posts an empty message. */
function ask(
  target: { socketPath: string } | { port: number },
  path = listPlugins,
  headers: Record<string, string> = {},
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const options = {
      ...target,
      path,
      method: "POST",
      agent: false,
      headers: { "content-type": "application/json", ...headers },
    };
    const request = http.request(options, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
    });
    request.on("error", reject);
    request.end("{}");
  });
}

test("a Unix socket has mode 0600, needs no token, and serves whether the host listens or not", async () => {
  await using folder = await temporaryFolder();
  await using platform = new Platform();
  await platform.addPlugin({ module: echoPlugin() });
  const socketPath = join(folder.path, "admin.sock");
  expect(await platform.listenAdmin({ path: socketPath })).toBe(`unix:${socketPath}`);
  const { mode } = await stat(socketPath);
  expect((mode & 0o777).toString(8)).toBe("600");
  const { status, text } = await ask({ socketPath });
  expect(status).toBe(200);
  expect(JSON.parse(text).plugins).toHaveLength(1);
});

test("the process's umask is as before", async () => {
  await using folder = await temporaryFolder();
  await using platform = new Platform();
  const before = process.umask();
  await platform.listenAdmin({ path: join(folder.path, "admin.sock") });
  await expect(platform.listenAdmin({ path: join(folder.path, "no", "admin.sock") })).rejects.toThrow(/ENOENT|EACCES/);
  expect(process.umask()).toBe(before);
});

test("stopping the host ends the listener and removes the socket", async () => {
  await using folder = await temporaryFolder();
  const platform = new Platform();
  const socketPath = join(folder.path, "admin.sock");
  await platform.listenAdmin({ path: socketPath });
  await ask({ socketPath });
  await platform.stop();
  await expect(ask({ socketPath })).rejects.toThrow(/ENOENT/);
  await expect(platform.listenAdmin({ path: socketPath })).rejects.toMatchObject({ code: "HOST_STOPPED" });
});

test("a TCP port of its own needs the token, which the host's port then takes, too", async () => {
  await using platform = new Platform({ adminToken });
  const url = await platform.listenAdmin({ port: 0 });
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  const port = Number(new URL(url).port);
  expect((await ask({ port })).status).toBe(401);
  expect((await ask({ port }, listPlugins, { authorization: `Bearer ${adminToken}` })).status).toBe(200);
});

test("a TCP port without an admin token is refused", async () => {
  await using platform = new Platform();
  await expect(platform.listenAdmin({ port: 0 })).rejects.toMatchObject({ code: "LISTEN_REFUSED" });
});

test.each(["/", "/services/echo/any/x", "/connectplugin.v1.HandshakeService/Handshake", "/readyz"])(
  "an admin listener serves nothing else: %s",
  async (path) => {
    await using folder = await temporaryFolder();
    await using platform = new Platform();
    const socketPath = join(folder.path, "admin.sock");
    await platform.listenAdmin({ path: socketPath });
    expect((await ask({ socketPath }, path)).status).toBe(404);
  },
);

test("a page of another site cannot reach an admin port on loopback", async () => {
  await using platform = new Platform({ adminToken });
  const port = Number(new URL(await platform.listenAdmin({ port: 0 })).port);
  const authorization = `Bearer ${adminToken}`;
  for (const headers of [{ host: "evil.example.org" }, { origin: "https://evil.example.org" }]) {
    expect((await ask({ port }, listPlugins, { authorization, ...headers })).status).toBe(403);
  }
});

test("a request that is no HTTP ends with its connection only", async () => {
  await using folder = await temporaryFolder();
  await using platform = new Platform();
  const socketPath = join(folder.path, "admin.sock");
  await platform.listenAdmin({ path: socketPath });
  const socket = createConnection({ path: socketPath });
  socket.resume().on("error", () => {});
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.write("\u0016\u0003nonsense\r\n\r\n");
  await closed;
  expect((await ask({ socketPath })).status).toBe(200);
});
