import http from "node:http";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { PlatformService } from "../../src/gen/connectplugin/admin/v1/platform_pb.js";
import type { PlatformOptions } from "../../src/index.js";
import { startHost, type TestHost } from "../support/host.js";
import { echoPlugin, stall, startEndpoint, startFakePlugin } from "../support/plugins.js";

const adminToken = "an-admin-token-of-tests";
const service = "/connectplugin.admin.v1.PlatformService";

interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  // biome-ignore lint/suspicious/noExplicitAny: JSON as a program without our types sees it
  readonly body: any;
}

/** What curl would do. */
function post(
  url: string,
  procedure: string,
  body: unknown = {},
  token: string | undefined = adminToken,
): Promise<Answer> {
  const headers = {
    "content-type": "application/json",
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  };
  return new Promise((resolve, reject) => {
    const request = http.request(`${url}${service}/${procedure}`, { method: "POST", headers }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: JSON.parse(text || "null") });
      });
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(JSON.stringify(body));
  });
}

const open = (options: PlatformOptions = {}): Promise<TestHost> => startHost({ adminToken, ...options });

function typed(url: string, token = adminToken): Client<typeof PlatformService> {
  const interceptors = [
    (next: Parameters<import("@connectrpc/connect").Interceptor>[0]) => (request: Parameters<typeof next>[0]) => {
      request.header.set("authorization", `Bearer ${token}`);
      return next(request);
    },
  ];
  return createClient(PlatformService, createConnectTransport({ httpVersion: "1.1", baseUrl: url, interceptors }));
}

const echoDeclaration = {
  selfId: "echo",
  selfVersion: "1.0.0",
  provides: [{ type: "echo", version: "1.0.0", path: "/echo.v1.Echo/" }],
};

describe("in Connect JSON, as the wire contract shows it", () => {
  test("AddPlugin of an endpoint answers with the plugin when it serves", async () => {
    await using host = await open();
    await using fake = await startFakePlugin({ requires: ["metrics?"] });
    const { status, body } = await post(host.url, "AddPlugin", { source: { endpoint: { url: fake.url } } });
    expect(status).toBe(200);
    expect(body).toEqual({
      plugin: {
        runtimeId: expect.stringMatching(/^echo-[0-9a-f]+$/),
        selfId: "echo",
        selfVersion: "1.0.0",
        state: "serving",
        health: "healthy",
        provides: [{ type: "echo", version: "1.0.0", path: "/echo.v1.Echo/" }],
        requires: [{ type: "metrics" }],
        endpointUrl: fake.url,
        startTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
        origin: "endpoint",
        traffic: { state: "passing" },
        supervision: { state: "unsupervised" },
      },
    });
    expect(host.platform.plugins()).toHaveLength(1);
  });

  test("AddPlugin of a process answers with its process id, and RemovePlugin ends it", async () => {
    await using host = await open();
    const program = `
      const { createServer } = require("node:http");
      createServer((request, response) => {
        response.setHeader("content-type", "application/json");
        response.statusCode = request.url.endsWith("GetPluginInfo") ? 200 : 404;
        response.end(JSON.stringify(request.url.endsWith("GetPluginInfo") ? ${JSON.stringify(echoDeclaration)} : { code: "unimplemented" }));
      }).listen(Number(process.env.PORT), "127.0.0.1", () => console.log("variable", process.env.GIVEN));`;
    const lines: string[] = [];
    host.platform.on("output", ({ line }) => lines.push(line));
    const command = [process.execPath, "-e", program];
    const { status, body } = await post(host.url, "AddPlugin", {
      source: { process: { command, env: { GIVEN: "x" } } },
    });
    expect(body).toMatchObject({ plugin: { origin: "process", pid: expect.any(Number), selfId: "echo" } });
    expect(status).toBe(200);
    expect(lines).toContain("variable x");
    const { pid, runtimeId } = body.plugin;
    expect(() => process.kill(pid, 0)).not.toThrow();
    expect((await post(host.url, "RemovePlugin", { runtimeId })).status).toBe(200);
    expect(() => process.kill(pid, 0)).toThrow(/ESRCH/);
  });

  test("a program that does not exist is not_found with the host's code and step, and nothing is left", async () => {
    await using host = await open();
    const { status, headers, body } = await post(host.url, "AddPlugin", {
      source: { process: { command: ["/no/such/program"] } },
    });
    expect({ status, code: body.code }).toEqual({ status: 404, code: "not_found" });
    expect(headers["error-code"]).toBe("COMMAND_NOT_FOUND");
    expect(headers["error-step"]).toBe("describe");
    expect(body.message).toContain("/no/such/program");
    expect(host.platform.plugins()).toEqual([]);
  });

  test("ListPlugins, GetPlugin, ListServices, GetStartupOrder and GetImpact show what is there", async () => {
    await using host = await open();
    const logger = await host.platform.addPlugin({ module: echoPlugin({ id: "logger", type: "logger" }) });
    const cache = await host.platform.addPlugin({
      module: echoPlugin({ id: "cache", type: "cache", requires: ["logger@^1.0.0"] }),
    });
    const { runtimeId } = logger;
    const list = await post(host.url, "ListPlugins");
    expect(list.body.plugins.map(({ runtimeId }: { runtimeId: string }) => runtimeId)).toEqual([
      runtimeId,
      cache.runtimeId,
    ]);
    const one = await post(host.url, "GetPlugin", { runtimeId });
    expect(one.body.plugin).toEqual(list.body.plugins[0]);
    expect((await post(host.url, "ListServices")).body).toEqual({
      services: [
        {
          type: "cache",
          strategy: "first",
          providers: [{ runtimeId: cache.runtimeId, version: "1.0.0", path: expect.any(String), state: "healthy" }],
        },
        {
          type: "logger",
          strategy: "first",
          providers: [{ runtimeId, version: "1.0.0", path: expect.any(String), state: "healthy" }],
        },
      ],
    });
    expect((await post(host.url, "GetStartupOrder")).body).toEqual({
      runtimeIds: [runtimeId, cache.runtimeId],
      levels: [{ runtimeIds: [runtimeId] }, { runtimeIds: [cache.runtimeId] }],
    });
    expect((await post(host.url, "GetImpact", { runtimeId })).body).toEqual({
      affectedServices: ["logger"],
      affectedPlugins: [cache.runtimeId],
    });
  });

  test("ReplacePlugin answers with the new plugin, RemovePlugin with who was affected", async () => {
    await using host = await open();
    const before = await host.platform.addPlugin({ module: echoPlugin() });
    const user = await host.platform.addPlugin({ module: echoPlugin({ id: "user", type: "use", requires: ["echo"] }) });
    await using newer = await startFakePlugin({ version: "1.1.0" });
    const replaced = await post(host.url, "ReplacePlugin", {
      runtimeId: before.runtimeId,
      source: { endpoint: { url: newer.url } },
    });
    expect(replaced.body).toMatchObject({ plugin: { selfVersion: "1.1.0", health: "healthy" } });
    const { runtimeId } = replaced.body.plugin;
    const removed = await post(host.url, "RemovePlugin", { runtimeId, reason: "enough", gracePeriod: "0.1s" });
    expect(removed.body).toEqual({ impact: { affectedServices: ["echo"], affectedPlugins: [user.runtimeId] } });
  });

  test("a replacement that lacks what others need is refused unless it is allowed", async () => {
    await using host = await open();
    const { runtimeId } = await host.platform.addPlugin({ module: echoPlugin() });
    await host.platform.addPlugin({ module: echoPlugin({ id: "user", type: "use", requires: ["echo"] }) });
    await using other = await startFakePlugin({ type: "other" });
    const request = { runtimeId, source: { endpoint: { url: other.url } } };
    const refused = await post(host.url, "ReplacePlugin", request);
    expect(refused.headers["error-code"]).toBe("REPLACEMENT_INCOMPATIBLE");
    expect(host.platform.plugin(runtimeId).state).toBe("serving");
    const allowed = await post(host.url, "ReplacePlugin", { ...request, allowMissingServices: true });
    expect(allowed.status).toBe(200);
  });

  test("Plan tells what would happen and does nothing", async () => {
    await using host = await open();
    const { runtimeId } = await host.platform.addPlugin({ module: echoPlugin() });
    const user = await host.platform.addPlugin({ module: echoPlugin({ id: "user", type: "use", requires: ["echo"] }) });
    const stepsBefore = host.steps.length;
    const add = { selfId: "x", requires: [{ type: "missing", requiredForStartup: true }] };
    expect((await post(host.url, "Plan", { add })).body).toMatchObject({
      steps: ["validate", "describe", "identify", "register", "health", "graph", "announce"],
      problems: [expect.stringContaining("missing")],
    });
    expect((await post(host.url, "Plan", { remove: runtimeId })).body).toEqual({
      steps: ["impact", "notify", "unregister", "shutdown", "forget"],
      impact: { affectedServices: ["echo"], affectedPlugins: [user.runtimeId] },
    });
    const declares = { selfId: "echo", provides: [{ type: "other", version: "1.0.0" }] };
    expect((await post(host.url, "Plan", { replace: { runtimeId, declares } })).body).toMatchObject({
      impact: { affectedServices: ["echo"], affectedPlugins: [user.runtimeId] },
      problems: [expect.stringContaining("requires echo")],
    });
    expect(host.steps).toHaveLength(stepsBefore);
  });

  test("a plan's steps are those that the operation takes", async () => {
    await using host = await open();
    const plan = async (body: object) => (await post(host.url, "Plan", body)).body.steps;
    const taken = (operation: string) =>
      host.stepEvents
        .filter((event) => event.operation === operation && event.state === "done")
        .map(({ step }) => step);
    const { runtimeId } = await host.platform.addPlugin({ module: echoPlugin() });
    expect(taken("add")).toEqual(await plan({ add: { selfId: "x" } }));
    const { runtimeId: next } = await host.platform.replacePlugin(runtimeId, { module: echoPlugin() });
    expect(taken("replace")).toEqual(await plan({ replace: { runtimeId: next, declares: echoDeclaration } }));
    const steps = await plan({ remove: next });
    await host.platform.removePlugin(next);
    expect(taken("remove")).toEqual(steps);
  });

  test("SetSelectionStrategy decides how a provider is chosen, and an empty one is the default again", async () => {
    await using host = await open();
    await host.platform.addPlugin({ module: echoPlugin() });
    const strategyOf = async () => (await post(host.url, "ListServices")).body.services[0].strategy;
    expect((await post(host.url, "SetSelectionStrategy", { serviceType: "echo", strategy: "random" })).body).toEqual(
      {},
    );
    expect(await strategyOf()).toBe("random");
    await post(host.url, "SetSelectionStrategy", { serviceType: "echo" });
    expect(await strategyOf()).toBe("first");
  });

  test.each([
    { procedure: "AddPlugin", body: {}, field: /^source must be one of/ },
    { procedure: "AddPlugin", body: { source: {} }, field: /^source must be/ },
    { procedure: "AddPlugin", body: { source: { endpoint: { url: "nowhere" } } }, field: /^endpoint/ },
    { procedure: "AddPlugin", body: { source: { process: { command: [] } } }, field: /^source\.process\.command/ },
    {
      procedure: "AddPlugin",
      body: { source: { process: { command: ["x"], env: { "a b": "" } } } },
      field: /^env\.a b/,
    },
    { procedure: "AddPlugin", body: { source: { module: {} } }, field: /^source\.module\.specifier/ },
    {
      procedure: "AddPlugin",
      body: { source: { module: { specifier: "/no/such/file.mjs", worker: true } }, declares: { selfId: "" } },
      field: /^declares\.selfId/,
    },
    {
      procedure: "AddPlugin",
      body: { source: { endpoint: { url: "http://127.0.0.1:1" } }, declares: { selfId: "" } },
      field: /^declares\.selfId/,
    },
    {
      procedure: "AddPlugin",
      body: { source: { endpoint: { url: "http://127.0.0.1:1" } }, timeout: "-1s" },
      field: /^timeout must not be negative/,
    },
    { procedure: "Plan", body: {}, field: /^operation must be one of/ },
    { procedure: "Plan", body: { replace: { runtimeId: "x" } }, field: /^replace\.declares/ },
    {
      procedure: "SetSelectionStrategy",
      body: { serviceType: "a", strategy: "best" },
      field: /^strategy must be one of/,
    },
    { procedure: "SetSelectionStrategy", body: { serviceType: "a b", strategy: "first" }, field: /a b/ },
  ])("$procedure refuses $body and names the field", async ({ procedure, body, field }) => {
    await using host = await open();
    const answer = await post(host.url, procedure, body);
    expect(answer.body).toMatchObject({ code: "invalid_argument", message: expect.stringMatching(field) });
    expect(answer.status).toBe(400);
  });

  test.each([
    { procedure: "GetPlugin", body: { runtimeId: "none" } },
    { procedure: "GetImpact", body: { runtimeId: "none" } },
    { procedure: "RemovePlugin", body: { runtimeId: "none" } },
    { procedure: "ReplacePlugin", body: { runtimeId: "none", source: { endpoint: { url: "http://127.0.0.1:1" } } } },
    { procedure: "Plan", body: { remove: "none" } },
  ])("$procedure of nobody is not_found", async ({ procedure, body }) => {
    await using host = await open();
    const answer = await post(host.url, procedure, body);
    expect({ status: answer.status, code: answer.body.code }).toEqual({ status: 404, code: "not_found" });
    expect(answer.headers["error-code"]).toBe("PLUGIN_NOT_FOUND");
  });
});

describe("who may", () => {
  const procedures = Object.values(PlatformService.method).map(({ name }) => name);
  const unary = procedures.filter((name) => name !== "WatchEvents");

  test.each([
    { token: undefined, why: "no token" },
    { token: "", why: "an empty token" },
    { token: `${adminToken}x`, why: "a longer token" },
    { token: adminToken.slice(0, -1), why: "a shorter token" },
  ])("nothing with $why", async ({ token }) => {
    await using host = await open();
    expect(procedures).toHaveLength(12);
    for (const procedure of unary) {
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
      const response = await fetch(`${host.url}${service}/${procedure}`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: "{}",
      });
      const body = (await response.json()) as { code: string };
      expect({ procedure, status: response.status, code: body.code }).toEqual({
        procedure,
        status: 401,
        code: "unauthenticated",
      });
    }
    const watch = typed(host.url, token ?? "")
      .watchEvents({})
      [Symbol.asyncIterator]();
    await expect(watch.next()).rejects.toMatchObject({ code: Code.Unauthenticated });
  });

  test("a plugin's token and the join token are not the admin's", async () => {
    await using host = await open({ joinToken: "a-join-token" });
    const { token, runtimeId } = (await host.caller("visitor").catch(() => undefined))?.identity ?? {};
    expect((await post(host.url, "ListPlugins", {}, "a-join-token")).status).toBe(401);
    const joined = await fetch(`${host.url}/_join/a-join-token${service}/ListPlugins`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    expect(joined.status).not.toBe(200);
    if (token === undefined) return;
    const asPlugin = await fetch(`${host.url}${service}/ListPlugins`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        authorization: `Bearer ${token}`,
        "x-plugin-runtime-id": runtimeId ?? "",
      },
      body: "{}",
    });
    expect(asPlugin.status).toBe(401);
  });

  test("without an admin token the service is not there", async () => {
    await using host = await startHost();
    const answer = await post(host.url, "ListPlugins");
    expect({ status: answer.status, code: answer.body.code }).toEqual({ status: 404, code: "unimplemented" });
  });
});

describe("with a typed client", () => {
  test("an operation that is called off leaves nothing behind", async () => {
    await using host = await open();
    await using fake = await startFakePlugin({ replies: { GetHealth: stall } });
    const end = new AbortController();
    const adding = typed(host.url).addPlugin(
      { source: { source: { case: "endpoint", value: { url: fake.url } } } },
      { signal: end.signal },
    );
    await fake.untilCalled("GetHealth");
    const rolledBack = host.next("step", ({ state }) => state === "failed");
    end.abort();
    await expect(adding).rejects.toMatchObject({ code: Code.Canceled });
    await rolledBack;
    expect(host.platform.plugins()).toEqual([]);
  });

  test("a timeout limits the whole operation", async () => {
    await using host = await open();
    await using fake = await startFakePlugin({ replies: { GetPluginInfo: stall } });
    const adding = typed(host.url).addPlugin({
      source: { source: { case: "endpoint", value: { url: fake.url } } },
      timeout: { seconds: 0n, nanos: 50_000_000 },
    });
    const error = ConnectError.from(await adding.catch((thrown: unknown) => thrown));
    expect(error.code).toBe(Code.DeadlineExceeded);
    expect(error.metadata.get("error-code")).toBe("STEP_TIMEOUT");
    expect(error.rawMessage).toContain("50 ms");
  });

  test("gRPC works, too", async () => {
    await using host = await open();
    await using running = await startEndpoint();
    const client = createClient(
      PlatformService,
      createGrpcTransport({
        baseUrl: host.url,
        interceptors: [
          (next) => (request) => {
            request.header.set("authorization", `Bearer ${adminToken}`);
            return next(request);
          },
        ],
      }),
    );
    await client.addPlugin({ source: { source: { case: "endpoint", value: { url: running.url } } } });
    expect((await client.listPlugins({})).plugins).toHaveLength(1);
  });
});

describe("WatchEvents", () => {
  test("tells at once that it watches, then everything that happens, in order", async () => {
    await using host = await open();
    const end = new AbortController();
    const events = typed(host.url).watchEvents({ names: ["plugin-added", "plugin-removed"] }, { signal: end.signal });
    const reader = events[Symbol.asyncIterator]();
    const next = async () => (await reader.next()).value;
    expect(await next()).toMatchObject({ name: "watching", details: { names: ["plugin-added", "plugin-removed"] } });
    const { runtimeId } = await host.platform.addPlugin({ module: echoPlugin() });
    await host.platform.removePlugin(runtimeId, { reason: "enough" });
    expect(await next()).toMatchObject({
      name: "plugin-added",
      details: { plugin: { runtimeId, selfId: "echo" } },
      dropped: 0n,
    });
    expect(await next()).toMatchObject({ name: "plugin-removed", details: { reason: "enough" } });
    end.abort();
    await expect(reader.next()).rejects.toMatchObject({ code: Code.Canceled });
  });

  test("without names it leaves out calls and changes, and shows a failed step's error", async () => {
    await using host = await open();
    const reader = typed(host.url).watchEvents({})[Symbol.asyncIterator]();
    await reader.next();
    await host.platform.addPlugin({ module: echoPlugin() });
    await host.platform.addPlugin({ endpoint: "http://127.0.0.1:1" }).catch(() => {});
    const names = new Set<string>();
    for (;;) {
      const { value: event } = await reader.next();
      names.add(event?.name ?? "");
      const { state, error } = (event?.details ?? {}) as { state?: string; error?: object };
      if (state !== "failed") continue;
      expect(error).toEqual({ message: expect.stringContaining("127.0.0.1:1"), code: "PLUGIN_UNREACHABLE" });
      break;
    }
    expect(names).toContain("plugin-added");
    expect(names).not.toContain("call");
    expect(names).not.toContain("changed");
    await reader.return?.();
  });

  test("an unknown name is refused", async () => {
    await using host = await open();
    const reader = typed(host.url)
      .watchEvents({ names: ["plugin-aded"] })
      [Symbol.asyncIterator]();
    await expect(reader.next()).rejects.toMatchObject({ code: Code.InvalidArgument });
  });

  test("ends when the host stops, after the last events, and does not hold up the stop", async () => {
    await using host = await open({ stopBudgetMs: 60_000 });
    await host.platform.addPlugin({ module: echoPlugin() });
    const names: string[] = [];
    const reading = (async () => {
      for await (const { name } of typed(host.url).watchEvents({ names: ["plugin-removed"] })) {
        names.push(name);
        if (name === "watching") void host.platform.stop();
      }
    })();
    await reading;
    await host.platform.stop();
    expect(names).toEqual(["watching", "plugin-removed"]);
  });

  test("a reader that does not read costs the host a bounded number of events, and is told how many it missed", async () => {
    await using host = await open();
    // Large enough that the system's buffers hold only some of them.
    const failure = new Error("x".repeat(100_000));
    let emitted = 0;
    host.platform.on("warning", ({ error }) => {
      if (error === failure) emitted += 1;
    });
    const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
      const headers = { "content-type": "application/connect+json", authorization: `Bearer ${adminToken}` };
      const request = http.request(`${host.url}${service}/WatchEvents`, { method: "POST", headers }, resolve);
      request.on("error", reject);
      const message = Buffer.from(JSON.stringify({ names: ["warning"] }));
      const envelope = Buffer.alloc(5);
      envelope.writeUInt32BE(message.length, 1);
      request.end(Buffer.concat([envelope, message]));
    });
    // Every call makes a listener throw, and that makes a warning.
    host.platform.on("call", () => {
      throw failure;
    });
    const calls = 1_500;
    for (let done = 0; done < calls; done += 50) {
      await Promise.all(Array.from({ length: 50 }, () => host.post("/services/none/any/x")));
    }
    expect(emitted).toBe(calls);
    let received = 0;
    let dropped = 0;
    for await (const event of messages(response)) {
      dropped += Number(event.dropped ?? 0);
      if (event.name === "warning") received += 1;
      if (received + dropped === calls) break;
    }
    expect(dropped).toBeGreaterThan(100);
    expect(received).toBeGreaterThanOrEqual(1_000);
  }, 30_000);
});

/** Messages of a stream in Connect JSON. */
async function* messages(response: http.IncomingMessage): AsyncGenerator<{ name?: string; dropped?: string }> {
  let rest = Buffer.alloc(0);
  for await (const chunk of response) {
    rest = Buffer.concat([rest, chunk as Buffer]);
    while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
      const end = 5 + rest.readUInt32BE(1);
      yield JSON.parse(rest.subarray(5, end).toString());
      rest = rest.subarray(end);
    }
  }
}
