import { once } from "node:events";
import net from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import type { IngressOptions, PlatformOptions } from "../../src/index.js";
import { ContractHost, PlainProvider } from "../support/contract-host.js";
import { exchangeBytes } from "../support/http-server.js";

const web: IngressOptions = { prefix: "/", type: "web", access: "open" };

async function started(options: PlatformOptions, type = "web") {
  const provider = await PlainProvider.start(type);
  const host = await ContractHost.start(options);
  onTestFinished(async () => {
    await host[Symbol.asyncDispose]();
    await provider[Symbol.asyncDispose]();
  });
  const owner = await host.join(type);
  await owner.serve({ serviceType: type, metadata: { base_url: provider.url } });
  return { provider, host, owner };
}

test("what is exposed at / gets every path that is not the host's own, from anybody", async () => {
  const { host, provider } = await started({ ingress: [web] });
  for (const path of ["/", "/index.html?a=1", "/a/b//c", "/nothing-of-the-host"]) {
    expect(await host.raw({ method: "GET", path })).toMatchObject({ status: 200, text: "web" });
  }
  expect(provider.requests.map(({ url }) => url)).toEqual(["/", "/index.html?a=1", "/a/b//c", "/nothing-of-the-host"]);
  provider.requests.length = 0;
  expect((await host.raw({ method: "GET", path: "/healthz" })).text).toBe("ok\n");
  expect((await host.raw({ method: "GET", path: "/services/web/any/x" })).status).toBe(401);
  expect((await host.handshake()).code).toBeUndefined();
  expect(provider.requests).toEqual([]);
});

test("what is exposed at / answers the standard health and reflection itself, and not the host's", async () => {
  const { host, provider } = await started({ ingress: [web] });
  await host.raw({ path: "/grpc.health.v1.Health/Check" });
  await host.raw({ path: "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo" });
  expect(provider.requests.map(({ url }) => url)).toEqual([
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
  ]);
  await host.raw({
    path: "/connectplugin.health.v1.HealthService/Check",
    headers: { "content-type": "application/json" },
    body: "{}",
  });
  expect(provider.requests.length).toBe(2);
});

test("the longest prefix wins, is cut off, and ends at a slash", async () => {
  const { host, provider } = await started({
    ingress: [
      { ...web, prefix: "/api" },
      { ...web, prefix: "/api/v2/" },
    ],
  });
  for (const path of ["/api", "/api/x", "/api/v2/x", "/api/v2", "/apiary", "/"]) await host.raw({ path });
  expect(provider.requests.map(({ url }) => url)).toEqual(["/", "/x", "/x", "/"]);
});

test("a user's own Authorization and Cookie reach the service, and whatever else claims to be the host's does not", async () => {
  const { host, provider } = await started({ ingress: [web] });
  const headers = {
    authorization: "Bearer users-own",
    cookie: "session=1",
    "x-plugin-runtime-id": "web-0",
    "x-plugin-caller-id": "root",
    "x-forwarded-for": "10.0.0.1",
  };
  expect((await host.raw({ path: "/x", headers })).status).toBe(200);
  expect(provider.requests[0]?.headers).toMatchObject({
    authorization: "Bearer users-own",
    cookie: "session=1",
    "x-plugin-caller-id": "ingress",
    "x-plugin-service": "web",
    "x-forwarded-for": "127.0.0.1",
  });
  expect(provider.requests[0]?.headers).not.toHaveProperty("x-plugin-runtime-id");
});

test("a user's credentials can be kept from services", async () => {
  const { host, provider } = await started({ ingress: [web], router: { stripUserCredentials: true } });
  await host.raw({ path: "/x", headers: { authorization: "Bearer users-own", cookie: "session=1" } });
  expect(provider.requests[0]?.headers).not.toHaveProperty("authorization");
  expect(provider.requests[0]?.headers).not.toHaveProperty("cookie");
});

test.each<{ what: string; access: unknown; status: number; caller?: string }>([
  { what: "names the user", access: () => "ann", status: 200, caller: "ingress:ann" },
  { what: "names the user later", access: async () => "ann", status: 200, caller: "ingress:ann" },
  { what: "names nobody", access: () => undefined, status: 401 },
  { what: "names nobody with an empty text", access: () => "", status: 401 },
  { what: "answers true", access: () => true, status: 401 },
  { what: "answers null", access: async () => null, status: 401 },
  { what: "throws", access: () => Promise.reject(new Error("directory is down")), status: 503 },
])("a check of users that $what: $status", async ({ access, status, caller }) => {
  const { host, provider } = await started({ ingress: [{ ...web, access: access as IngressOptions["access"] }] });
  const answer = await host.raw({ path: "/x", headers: { authorization: "Bearer users-own" } });
  expect(answer.status).toBe(status);
  expect(answer.text).not.toContain("directory is down");
  expect(provider.requests.map(({ headers }) => headers["x-plugin-caller-id"])).toEqual(
    caller === undefined ? [] : [caller],
  );
  expect(host.warnings.length).toBe(status === 503 ? 1 : 0);
});

test("an exposed service that nobody provides is 404, and one that is not well 503", async () => {
  const { host, owner } = await started({ ingress: [web, { ...web, prefix: "/none", type: "none" }] });
  expect((await host.raw({ path: "/none/x" })).status).toBe(404);
  await owner.report("unhealthy");
  expect(await host.raw({ path: "/x" })).toMatchObject({ status: 503, headers: { "retry-after": "1" } });
});

/** A WebSocket server that says back what it hears, with the path it was called at. */
async function echoSocketServer(): Promise<string> {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  onTestFinished(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  server.on("connection", (socket, { url, headers }) => {
    socket.on("message", (data) => socket.send(`${url} ${headers["x-plugin-caller-id"]} ${String(data)}`));
  });
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`;
}

test.each([
  { what: "exposed, open", path: "/live?a=1", access: "open" as const, said: "/live?a=1 ingress hello" },
  { what: "exposed, with a user", path: "/live", access: () => "ann", said: "/live ingress:ann hello" },
  { what: "exposed, without a user", path: "/live", access: () => undefined, status: 401 },
  { what: "by its path, without identity", path: "/services/web/any/live", access: "open" as const, status: 401 },
  { what: "of nobody", path: "/none/live", access: "open" as const, status: 404 },
])("a WebSocket $what", async ({ path, access, said, status }) => {
  const { host } = await started(
    {
      ingress: [
        { ...web, access },
        { prefix: "/none", type: "none", access: "open" },
      ],
    },
    "other",
  );
  const owner = await host.join("web");
  await owner.serve({ serviceType: "web", metadata: { base_url: await echoSocketServer() } });
  const socket = new WebSocket(`${host.url.replace("http", "ws")}${path}`);
  onTestFinished(() => socket.terminate());
  const outcome = new Promise((resolve) => {
    socket.on("error", () => {});
    socket.on("unexpected-response", (_request, response) => resolve(response.statusCode));
    socket.on("message", (data) => resolve(String(data)));
    socket.on("open", () => socket.send("hello"));
  });
  expect(await outcome).toBe(said ?? status);
});

test("a request to upgrade with a foreign Host or Origin is refused", async () => {
  const { host } = await started({ ingress: [web] });
  const upgrade = (...lines: string[]) =>
    exchangeBytes(
      net.connect(host.port, "127.0.0.1"),
      `${["GET /x HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket", ...lines].join("\r\n")}\r\n\r\n`,
    );
  expect(await upgrade("Host: evil.example.org")).toMatch(/^HTTP\/1\.1 403 Forbidden/);
  expect(await upgrade("Host: localhost", "Origin: https://evil.example.org")).toMatch(/^HTTP\/1\.1 403 /);
  expect(await upgrade("Host: [")).toMatch(/^HTTP\/1\.1 400 /);
});

test("a check of users that throws on an upgrade refuses it and ends nothing else", async () => {
  const { host } = await started({ ingress: [{ ...web, access: () => Promise.reject(new Error("down")) }] });
  const answer = await exchangeBytes(
    net.connect(host.port, "127.0.0.1"),
    "GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
  );
  expect(answer).toMatch(/^HTTP\/1\.1 503 /);
  expect(host.warnings).toMatchObject([{ error: { message: "down" } }]);
  expect((await host.raw({ method: "GET", path: "/healthz" })).status).toBe(200);
});
