import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import express from "express";
import fastify from "fastify";
import { expect, onTestFinished, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { Platform, type PlatformOptions } from "../../src/index.js";
import { definePlugin, servePlugin } from "../../src/plugin/index.js";
import { greeting, identityHeaders, rawRequest, toRpcReply } from "../support/contract-host.js";
import { echoOnly } from "../support/echo-plugin.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";

const echoPlugin = definePlugin({
  id: "echo-plugin",
  version: "1.0.0",
  provides: { echo: { service: Echo } },
  setup: () => ({ echo: echoOnly("mounted") }),
});

/** A server of somebody else with the host in it, beside a page of its own, under a prefix of its own. */
interface Mount {
  readonly name: string;
  readonly prefix: string;
  listen(platform: Platform): Promise<number>;
}

async function listening(server: http.Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

const nodeHttp: Mount = {
  name: "node:http",
  prefix: "",
  listen(platform) {
    const server = http.createServer((req, res) => {
      if (req.url === "/own") res.end("own");
      else platform.handler(req, res);
    });
    server.on("upgrade", platform.upgradeHandler);
    return listening(server);
  },
};

const inExpress: Mount = {
  name: "Express",
  prefix: "/plugins",
  listen(platform) {
    const app = express();
    app.get("/own", (_req, res) => void res.send("own"));
    // In front of body parsers: what they have read, nobody can pass on.
    app.use("/plugins", platform.handler);
    app.use(express.json());
    return listening(http.createServer(app));
  },
};

const inFastify: Mount = {
  name: "Fastify",
  prefix: "/plugins",
  async listen(platform) {
    const app = fastify();
    app.get("/own", async () => "own");
    await app.register(async (scope) => {
      // Bodies stay unread.
      scope.removeAllContentTypeParsers();
      scope.addContentTypeParser("*", (_request, _body, done) => done(null));
      scope.all("/plugins/*", (request, reply) => {
        reply.hijack();
        request.raw.url = request.raw.url?.slice("/plugins".length) ?? "/";
        platform.handler(request.raw, reply.raw);
      });
    });
    await app.listen({ port: 0, host: "127.0.0.1" });
    onTestFinished(() => {
      app.server.closeAllConnections();
      return app.close();
    });
    return (app.server.address() as AddressInfo).port;
  },
};

async function started(mount: Mount, options: PlatformOptions = {}) {
  const platform = new Platform({ stopBudgetMs: 1_000, ...options });
  onTestFinished(() => platform.stop());
  const port = await mount.listen(platform);
  return { platform, port, url: `http://127.0.0.1:${port}${mount.prefix}` };
}

test.each([nodeHttp, inExpress, inFastify])(
  "in $name the host's procedures, pages and routes work, and so does the server's own",
  async (mount) => {
    const { port, platform } = await started(mount);
    const get = (path: string) => rawRequest(port, { method: "GET", path });
    expect((await get("/own")).text).toBe("own");
    expect((await get(`${mount.prefix}/healthz`)).text).toBe("ok\n");
    expect((await get(`${mount.prefix}/services/echo/any/x`)).status).toBe(401);
    const answer = await rawRequest(port, {
      path: `${mount.prefix}/connectplugin.v1.HandshakeService/Handshake`,
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ...greeting, selfId: "caller" }),
    });
    const { runtimeId, runtimeToken: token } = toRpcReply(answer).body;
    await platform.addPlugin({ module: echoPlugin });
    const headers = identityHeaders({ runtimeId, token });
    const transport: Transport = createConnectTransport({
      baseUrl: `http://127.0.0.1:${port}${mount.prefix}/services/echo/any`,
      httpVersion: "1.1",
      interceptors: [
        (next) => (request) => {
          for (const [name, value] of Object.entries(headers)) request.header.set(name, value);
          return next(request);
        },
      ],
    });
    const client = createClient(Echo, transport);
    expect(await client.say({ text: "x".repeat(300_000) })).toMatchObject({ provider: "mounted" });
    const parts: number[] = [];
    for await (const { index } of client.serverStream({ text: "x", count: 3 })) parts.push(index);
    expect(parts).toEqual([0, 1, 2]);
  },
);

test.each([nodeHttp, inExpress, inFastify])("in $name a plugin registers itself and is called", async (mount) => {
  const { platform, url } = await started(mount);
  await using served = await servePlugin(echoPlugin, { hostUrl: url, env: {} });
  expect(platform.plugins().map(({ runtimeId }) => runtimeId)).toEqual([served.runtimeId]);
  expect(await platform.client(Echo).say({ text: "hi" })).toMatchObject({ text: "hi" });
});

test("a managed plugin outside the process needs the option publicUrl", async () => {
  const { platform } = await started(nodeHttp);
  await using served = await servePlugin(echoPlugin, { env: {} });
  await expect(platform.addPlugin({ endpoint: served.url })).rejects.toMatchObject({
    code: "HOST_URL_UNKNOWN",
    message: expect.stringContaining("publicUrl"),
  });
});

test("with publicUrl its name is a good Host and a good Origin, others are not, and joining needs the token", async () => {
  const { port } = await started(nodeHttp, { publicUrl: "http://plugins.example.org", joinToken: "join-token-1" });
  const status = async (headers: Record<string, string>) =>
    (await rawRequest(port, { method: "GET", path: "/healthz", headers })).status;
  expect(await status({ host: "plugins.example.org" })).toBe(200);
  expect(await status({ host: "plugins.example.org", origin: "http://plugins.example.org" })).toBe(200);
  expect(await status({ host: "plugins.example.org", origin: "https://evil.example.org" })).toBe(403);
  expect(await status({ host: "evil.example.org" })).toBe(403);
  const join = async (headers: Record<string, string>) =>
    toRpcReply(
      await rawRequest(port, {
        path: "/connectplugin.v1.HandshakeService/Handshake",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify({ ...greeting, selfId: "caller" }),
      }),
    ).code;
  expect(await join({})).toBe("unauthenticated");
  expect(await join({ authorization: "Bearer join-token-1" })).toBeUndefined();
});

test("WebSocket works where the server's upgrade events are passed on", async () => {
  const sockets = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  onTestFinished(() => {
    for (const client of sockets.clients) client.terminate();
    sockets.close();
  });
  sockets.on("connection", (socket) => socket.on("message", (data) => socket.send(`heard ${String(data)}`)));
  await once(sockets, "listening");
  const { platform, port } = await started(nodeHttp, { ingress: [{ prefix: "/live", type: "live", access: "open" }] });
  await platform.addPlugin({
    endpoint: `http://127.0.0.1:${(sockets.address() as AddressInfo).port}`,
    declares: { selfId: "live", provides: [{ type: "live", version: "1.0.0" }] },
  });
  const socket = new WebSocket(`ws://127.0.0.1:${port}/live/x`);
  onTestFinished(() => socket.terminate());
  socket.on("open", () => socket.send("hello"));
  expect(String((await once(socket, "message"))[0])).toBe("heard hello");
});

test("a caller that hangs up while an upgrade is refused ends no process", async () => {
  const { port } = await started(nodeHttp);
  for (let count = 0; count < 20; count++) {
    const request = http.request({
      port,
      host: "127.0.0.1",
      path: "/services/a/any/x",
      headers: { connection: "Upgrade", upgrade: "websocket" },
    });
    request.on("error", () => {});
    request.on("socket", (socket) => socket.on("connect", () => setImmediate(() => socket.resetAndDestroy())));
    request.end();
    await new Promise((resolve) => request.once("close", resolve));
  }
  expect((await rawRequest(port, { method: "GET", path: "/healthz" })).status).toBe(200);
});

test("what does not work in a node:http server: HTTP/2, and so gRPC", async () => {
  const { platform, port } = await started(nodeHttp);
  await platform.addPlugin({ module: echoPlugin });
  const client = createClient(Echo, createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}` }));
  await expect(client.say({})).rejects.toThrow();
});

test("in a node:http2 server the host answers HTTP/2", async () => {
  const platform = new Platform({ stopBudgetMs: 1_000 });
  onTestFinished(() => platform.stop());
  const server = http2.createServer(platform.handler);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const session = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  onTestFinished(() => {
    session.destroy();
    server.close();
  });
  const stream = session.request({ ":path": "/healthz" });
  const [headers] = await once(stream, "response");
  expect(headers[":status"]).toBe(200);
});

test("what does not work behind a body parser: a body that it has read", async () => {
  const platform = new Platform({ stopBudgetMs: 1_000 });
  onTestFinished(() => platform.stop());
  const app = express();
  app.use(express.json());
  app.use(platform.handler);
  const port = await listening(http.createServer(app));
  const answer = await rawRequest(port, {
    path: "/connectplugin.v1.HandshakeService/Handshake",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...greeting, selfId: "caller" }),
  });
  // The host sees an empty message: refused, and not waited for.
  expect(toRpcReply(answer).code).toBe("invalid_argument");
});
