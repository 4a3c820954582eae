import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import type { IngressCheck, IngressOptions } from "connect-plugin-host";
import { describe, expect, onTestFinished, test } from "vitest";
import WebSocket, { WebSocketServer } from "ws";
import { Health } from "../../src/gen/grpc/health/v1/health_pb.js";
import { connectHandler } from "../../src/http/connect-handler.js";
import { createOnePortServer } from "../../src/http/one-port-server.js";
import { deferred } from "../../src/internal/deferred.js";
import { ContractHost, PlainProvider } from "../support/contract-host.js";
import { echoOnly } from "../support/echo-plugin.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { manualClock } from "../support/manual-clock.js";

/** Exposes a service type under each prefix, with a provider of the same name that answers with its name. */
async function expose(options: Record<string, IngressOptions["access"]>, more: object = {}) {
  const ingress = Object.entries(options).map(([prefix, access]) => ({ prefix, type: typeOf(prefix), access }));
  const host = await ContractHost.start({ ingress, ...more });
  onTestFinished(() => host[Symbol.asyncDispose]());
  const providers = new Map<string, PlainProvider>();
  for (const { prefix, type } of ingress) {
    const provider = await PlainProvider.start(type);
    onTestFinished(() => provider[Symbol.asyncDispose]());
    await (await host.join(type)).serve({ serviceType: type, metadata: { base_url: provider.url } });
    providers.set(prefix, provider);
  }
  const seen = (prefix: string) => providers.get(prefix)?.requests ?? [];
  return { host, seen, get: (path: string, headers = {}) => host.raw({ path, method: "GET", headers }) };
}

const typeOf = (prefix: string): string => `type${prefix.replaceAll("/", "-")}`;

describe("a request that nothing of the host's own is for", () => {
  test.each([
    { path: "/", type: "type-", rest: "/" },
    { path: "/x", type: "type-", rest: "/x" },
    { path: "/api", type: "type-api", rest: "/" },
    { path: "/api?q=1", type: "type-api", rest: "/?q=1" },
    { path: "/api/", type: "type-api", rest: "/" },
    { path: "/api/v1", type: "type-api", rest: "/v1" },
    { path: "/api//v1", type: "type-api", rest: "/v1" },
    { path: "//api/v1", type: "type-api", rest: "/v1" },
    { path: "/api/v2", type: "type-api-v2", rest: "/" },
    { path: "/api/v2/users/a%2Db?x=%20", type: "type-api-v2", rest: "/users/a%2Db?x=%20" },
    { path: "/api/v20", type: "type-api", rest: "/v20" },
    { path: "/apis", type: "type-", rest: "/apis" },
    { path: "/API", type: "type-", rest: "/API" },
    { path: "/healthy", type: "type-", rest: "/healthy" },
    { path: "/capabilities-of-ours", type: "type-", rest: "/capabilities-of-ours" },
  ])("$path goes to $type, the longest prefix that fits, as $rest", async ({ path, type, rest }) => {
    const { get, seen } = await expose({ "/api": "open", "/": "open", "/api/v2": "open" });

    const answer = await get(path);

    expect([answer.status, answer.text]).toEqual([200, type]);
    const all = ["/", "/api", "/api/v2"].flatMap((prefix) => seen(prefix));
    expect(all.map(({ url }) => url)).toEqual([rest]);
  });

  test("is 404 if no prefix fits", async () => {
    const { get, seen } = await expose({ "/api": "open" });

    expect((await get("/")).status).toBe(404);
    expect((await get("/apis")).status).toBe(404);
    expect(seen("/api")).toEqual([]);
  });

  test.each([
    "/api/../services/x/any/y",
    "/api/%2e%2e/x",
    "/api/a%2Fb",
    "/api/connectplugin.v1.PluginControl/Shutdown",
  ])("is 400 for %s", async (path) => {
    const { get, seen } = await expose({ "/api": "open" });

    expect((await get(path)).status).toBe(400);
    expect(seen("/api")).toEqual([]);
  });
});

describe("the host's own paths come before what is exposed at the root", () => {
  test.each([
    { path: "/health", status: 200 },
    { path: "/healthz", status: 200 },
    { path: "/readyz", status: 200 },
    { path: "/services/type-/any/x", status: 401 },
    { path: "/capabilities/a/b", status: 401 },
    { path: "/connectplugin.v1.ServiceRegistry/DiscoverService", status: 405 },
    { path: "/broker/connectplugin.v1.CapabilityBroker/RequestCapability", status: 405 },
    { path: "/connectplugin.health.v1.HealthService/Check", status: 405 },
  ])("$path", async ({ path, status }) => {
    const { get, seen } = await expose({ "/": "open" });

    expect((await get(path)).status).toBe(status);
    expect(seen("/")).toEqual([]);
  });

  test("also when the request is to upgrade", async () => {
    const { host } = await expose({ "/": "open" });
    const paths = { "/health": 404, "/capabilities/a/b": 401, "/connectplugin.v1.ServiceRegistry/WatchService": 404 };
    for (const [path, status] of Object.entries(paths)) {
      const socket = new WebSocket(`${host.url.replace("http", "ws")}${path}`);
      const [, answer] = (await once(socket, "unexpected-response")) as [unknown, http.IncomingMessage];
      expect(answer.statusCode, path).toBe(status);
      answer.destroy();
    }
  });

  test("a caller without an identity gets past an open door no further than the exposed type", async () => {
    const { get, seen } = await expose({ "/": "open" });

    const answer = await get("/x", { "x-plugin-target": "type-/any" });

    expect(answer.status).toBe(401);
    expect(seen("/")).toEqual([]);
  });
});

describe("a check", () => {
  const byHeader: IngressCheck = ({ header }) => header("x-user");

  test("lets in whom it names, and nobody else", async () => {
    const { get, seen } = await expose({ "/api": async (head) => byHeader(head) });

    expect((await get("/api/x", { "x-user": "ada" })).status).toBe(200);
    const refused = await get("/api/x");
    expect([refused.status, JSON.parse(refused.text).code]).toEqual([401, "unauthenticated"]);
    expect((await get("/api/x", { "x-user": "" })).status).toBe(401);
    expect(seen("/api").map(({ headers }) => headers["x-plugin-caller-id"])).toEqual(["ingress:ada"]);
  });

  test.each([null, true, 1, {}, false])("that gives %j instead of a name lets nobody in", async (value) => {
    const { get } = await expose({ "/api": (() => value) as never });

    expect((await get("/api")).status).toBe(401);
  });

  test("sees the request as it was sent, without a launch or join prefix", async () => {
    const targets: string[] = [];
    const access: IngressCheck = ({ target }) => {
      targets.push(target);
      return "ada";
    };
    const { get } = await expose({ "/api": access }, { joinToken: "join-token" });

    await get("/api/a%20b?q");
    await get("/_join/join-token/api/c");

    expect(targets).toEqual(["/api/a%20b?q", "/api/c"]);
  });

  test("gives a name in any alphabet, which reaches the provider percent-encoded", async () => {
    const { get, seen } = await expose({ "/api": () => "Zoë 100%\r\nx: y" });

    await get("/api");

    const [request] = seen("/api");
    expect(decodeURIComponent(request?.headers["x-plugin-caller-id"] ?? "")).toBe("ingress:Zoë 100%\r\nx: y");
    expect(request?.headers).not.toHaveProperty("x");
  });

  test.each([
    {
      how: "throws",
      access: () => {
        throw new Error("secret detail");
      },
    },
    { how: "rejects", access: () => Promise.reject(new Error("secret detail")) },
  ])("that $how keeps the caller out, says nothing of the cause, and is a warning", async ({ access }) => {
    const { host, get, seen } = await expose({ "/api": access, "/open": "open" });

    const answer = await get("/api/x");

    expect(answer.status).toBe(503);
    expect(JSON.parse(answer.text)).toMatchObject({ code: "unavailable" });
    expect(answer.text).not.toContain("secret detail");
    expect(host.warnings.map(({ error }) => (error as Error).message)).toEqual(["secret detail"]);
    expect(seen("/api")).toEqual([]);
    expect((await get("/open")).status).toBe(200);
  });

  test("that throws is told to a gRPC caller in its protocol", async () => {
    const { host } = await expose({ "/": () => Promise.reject(new Error("x")) });
    const client = createClient(Echo, createGrpcTransport({ baseUrl: host.url }));

    await expect(client.say({})).rejects.toMatchObject({ code: Code.Unavailable });
  });

  test("that never ends is given up after its time", async () => {
    const clock = manualClock();
    const asked = deferred();
    const access: IngressCheck = () => {
      asked.resolve();
      return new Promise(() => {});
    };
    await using host = await ContractHost.start({
      clock,
      ingress: [{ prefix: "/api", type: "x", access, accessTimeoutMs: 5_000 }],
    });
    const answer = host.raw({ path: "/api/x", method: "GET" });
    await asked.promise;

    clock.advance(5_000);

    expect((await answer).status).toBe(503);
    expect(String(host.warnings[0]?.error)).toContain("the check of /api took longer than 5000 ms");
  });

  test("whose caller hangs up meanwhile reaches no provider", async () => {
    const asked = deferred();
    const decided = deferred<string>();
    const { host, seen, get } = await expose({
      "/slow": () => {
        asked.resolve();
        return decided.promise;
      },
      "/open": "open",
    });
    const request = http.get({ host: "127.0.0.1", port: host.port, path: "/slow/x" });
    request.on("error", () => {});
    await asked.promise;
    const closed = new Promise((resolve) => request.once("close", resolve));

    request.destroy();
    await closed;
    // A round trip: the host has seen the end of the other connection when it has answered here.
    await get("/open");
    const over = new Promise((resolve) => host.platform.on("call", resolve));
    decided.resolve("ada");
    await over;

    expect(seen("/slow")).toEqual([]);
    expect(host.warnings).toEqual([]);
  });
});

describe("a provider behind an exposed path", () => {
  test("gets what only the host may say from the host, and the user's own credentials as they are", async () => {
    const { host, get, seen } = await expose({ "/api": "open" });

    await get("/api/x", {
      "x-plugin-caller-id": "admin",
      "X-Plugin-Caller-Self-ID": "admin",
      x_plugin_caller_id: "admin",
      "x-plugin-service": "other",
      "x-forwarded-for": "10.0.0.1",
      "x-forwarded-host": "evil.example",
      forwarded: "for=10.0.0.1",
      authorization: "Basic dTpw",
      cookie: "session=1",
      traceparent: `00-${"1".repeat(32)}-${"2".repeat(16)}-01`,
    });

    const headers = seen("/api")[0]?.headers ?? {};
    expect(headers).toMatchObject({
      "x-plugin-caller-id": "ingress",
      "x-plugin-service": "type-api",
      "x-forwarded-for": "127.0.0.1",
      "x-forwarded-proto": "http",
      "x-forwarded-host": `127.0.0.1:${host.port}`,
      authorization: "Basic dTpw",
      cookie: "session=1",
    });
    expect(headers.traceparent).toContain("1".repeat(32));
    for (const name of ["x-plugin-caller-self-id", "x_plugin_caller_id", "forwarded"]) {
      expect(headers).not.toHaveProperty(name);
    }
  });

  test("gets no credentials if they are to be stripped", async () => {
    const { get, seen } = await expose({ "/api": "open" }, { router: { stripUserCredentials: true } });

    await get("/api/x", { authorization: "Basic dTpw", cookie: "session=1" });

    expect(seen("/api")[0]?.headers).not.toHaveProperty("authorization");
    expect(seen("/api")[0]?.headers).not.toHaveProperty("cookie");
  });

  test("is not called if `authorize` is against it, and the call is told of with its user", async () => {
    const { host, get, seen } = await expose(
      { "/api": ({ header }) => header("x-user") },
      {
        authorize: ({ caller }: { caller: { kind: string; user?: string } }) =>
          caller.user === "eve" ? "not you" : undefined,
      },
    );
    const events: unknown[] = [];
    host.platform.on("call", ({ caller, status }) => events.push([caller, status]));

    expect((await get("/api/x", { "x-user": "eve" })).status).toBe(403);
    expect((await get("/api/x", { "x-user": "ada" })).status).toBe(200);
    expect(seen("/api")).toHaveLength(1);
    expect(events).toEqual([
      [{ kind: "ingress", user: "eve" }, 403],
      [{ kind: "ingress", user: "ada" }, 200],
    ]);
  });

  test("may be away: the caller is told, and a user has a rate of its own", async () => {
    await using host = await ContractHost.start({
      ingress: [{ prefix: "/api", type: "nobody", access: ({ header }) => header("x-user") }],
      callerRate: { perSecond: 0.001, burst: 1 },
    });
    const status = async (user: string) =>
      (await host.raw({ path: "/api/x", method: "GET", headers: { "x-user": user } })).status;

    expect(await status("ada")).toBe(404);
    const provider = await PlainProvider.start();
    onTestFinished(() => provider[Symbol.asyncDispose]());
    await (await host.join("it")).serve({ serviceType: "nobody", metadata: { base_url: provider.url } });
    expect([await status("ada"), await status("ada"), await status("bob")]).toEqual([200, 429, 200]);
  });
});

/** A host that may expose an echo service of Connect at the root; its provider has a health service of its own. */
async function exposeEcho({ isExposed = true } = {}) {
  const host = await ContractHost.start({
    ingress: isExposed ? [{ prefix: "/", type: "echo", access: "open" }] : [],
  });
  onTestFinished(() => host[Symbol.asyncDispose]());
  const connect = connectHandler({
    routes: (router) => {
      router.service(Echo, echoOnly("exposed"));
      router.service(Health, { check: ({ service }) => ({ status: service === "of the provider" ? 2 : 0 }) });
    },
  });
  const provider = createOnePortServer({
    handler: async (exchange) => {
      if ((await connect.handle(exchange)) === false) exchange.respond(404, [], true);
    },
  });
  await provider.listen({ port: 0 });
  onTestFinished(() => provider.close({ graceMs: 0 }));
  const { port } = provider.address() as AddressInfo;
  const owner = await host.join("echo");
  await owner.serve({
    serviceType: "echo",
    endpointPath: "/echo.v1.Echo/",
    metadata: { base_url: `http://127.0.0.1:${port}`, protocols: "h2c" },
  });
  return { host, owner };
}

describe("a gRPC stub, which has no base path", () => {
  test("reaches what is exposed at the root, with the health of the provider and not of the host", async () => {
    const { host } = await exposeEcho();
    const grpc = createGrpcTransport({ baseUrl: host.url });

    expect(await codeOrValue(createClient(Echo, grpc).say({ text: "hi" }))).toBe("exposed");
    const health = await createClient(Health, grpc).check({ service: "of the provider" });
    expect(health.status).toBe(2);
  });

  test.each([true, false])(
    "reaches any provider by X-Plugin-Target, with the identity of a plugin, something exposed at the root: %s",
    async (isExposed) => {
      const { host, owner } = await exposeEcho({ isExposed });
      const caller = await host.join("app");
      const say = (headers: Record<string, string>) =>
        codeOrValue(host.client(Echo, { protocol: "gRPC", headers }).say({ text: "hi" }));

      expect(await say({ ...caller.headers, "x-plugin-target": "echo/any" })).toBe("exposed");
      expect(await say({ ...caller.headers, "x-plugin-target": `echo/${owner.runtimeId}` })).toBe("exposed");
      expect(await say({ ...caller.headers, "x-plugin-target": "other/any" })).toBe(Code.NotFound);
      expect(await say({ ...caller.headers, "x-plugin-target": "echo" })).toBe(Code.InvalidArgument);
      expect(await say({ "x-plugin-target": "echo/any" })).toBe(Code.Unauthenticated);
      const health = host.client(Health, {
        protocol: "gRPC",
        headers: { ...caller.headers, "x-plugin-target": "echo/any" },
      });
      expect((await health.check({ service: "of the provider" })).status).toBe(2);
    },
  );
});

const codeOrValue = (call: Promise<{ provider: string }>): Promise<Code | string> =>
  call.then(
    ({ provider }) => provider,
    (error) => error.code,
  );

describe("a WebSocket", () => {
  async function exposeSocket(access: IngressOptions["access"]) {
    const server = http.createServer((_request, response) => response.writeHead(404).end());
    const requests: http.IncomingMessage[] = [];
    const sockets = new WebSocketServer({ server });
    sockets.on("connection", (socket, request) => {
      requests.push(request);
      socket.on("message", (data) => socket.send(`echo ${data}`));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => {
      for (const client of sockets.clients) client.terminate();
      server.closeAllConnections();
      server.close();
    });
    const host = await ContractHost.start({ ingress: [{ prefix: "/ws", type: "chat", access }] });
    onTestFinished(() => host[Symbol.asyncDispose]());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await (await host.join("chat")).serve({ serviceType: "chat", metadata: { base_url: url } });
    const open = (path: string, headers = {}) => new WebSocket(`${host.url.replace("http", "ws")}${path}`, { headers });
    const untilNobody = async (): Promise<void> => {
      await Promise.all([...sockets.clients].map((client) => once(client, "close")));
    };
    return { host, requests, open, untilNobody };
  }
  const refusalOf = async (socket: WebSocket): Promise<number | undefined> => {
    const [, answer] = (await once(socket, "unexpected-response")) as [unknown, http.IncomingMessage];
    answer.destroy();
    return answer.statusCode;
  };

  test("goes through to the exposed service, with its user's name and without what it forged", async () => {
    const { requests, open } = await exposeSocket(({ header }) => header("x-user"));
    const socket = open("/ws/room%2D1?q", { "x-user": "ada", "x-plugin-caller-id": "admin" });
    await once(socket, "open");

    socket.send("hi");
    const [data] = await once(socket, "message");

    expect(String(data)).toBe("echo hi");
    expect(requests[0]?.url).toBe("/room%2D1?q");
    expect(requests[0]?.headers["x-plugin-caller-id"]).toBe("ingress:ada");
    socket.terminate();
  });

  test("is refused with the same answers as any request", async () => {
    const { host, requests, open } = await exposeSocket(({ header }) => {
      if (header("x-user") === "oops") throw new Error("the check broke");
      return header("x-user");
    });

    expect(await refusalOf(open("/ws/room"))).toBe(401);
    expect(await refusalOf(open("/ws/room", { "x-user": "oops" }))).toBe(503);
    expect(await refusalOf(open("/other", { "x-user": "ada" }))).toBe(404);
    expect(await refusalOf(open("/ws/a%2Fb", { "x-user": "ada" }))).toBe(400);
    expect(requests).toEqual([]);
    expect(host.warnings.map(({ error }) => (error as Error).message)).toEqual(["the check broke"]);
  });

  test("that hangs up while it is checked leaves no connection behind", async () => {
    const asked = deferred();
    const decided = deferred<string>();
    const { host, open, untilNobody } = await exposeSocket(() => {
      asked.resolve();
      return decided.promise;
    });
    const over = new Promise((resolve) => host.platform.on("call", resolve));
    const socket = open("/ws/room");
    socket.on("error", () => {});
    await asked.promise;

    socket.terminate();
    decided.resolve("ada");
    await over;
    await untilNobody();

    expect(host.warnings).toEqual([]);
  });
});

test.each([
  { one: { prefix: "api" }, field: "ingress[0].prefix" },
  { one: { prefix: "/a/../b" }, field: "ingress[0].prefix" },
  { one: { type: "a/b" }, field: "ingress[0].type" },
  { one: { access: "closed" }, field: "ingress[0].access" },
  { one: { accessTimeoutMs: 0 }, field: "ingress[0].accessTimeoutMs" },
  { one: { acess: "open" }, field: "ingress[0].acess" },
])("a platform with a bad $field is not made", async ({ one, field }) => {
  const { Platform } = await import("connect-plugin-host");
  const good = { prefix: "/api", type: "x", access: "open" };
  expect(() => new Platform({ ingress: [{ ...good, ...one } as never] })).toThrow(
    expect.objectContaining({ code: "INVALID_ARGUMENT", field }),
  );
});
