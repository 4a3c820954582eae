import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import type { CallEvent, CapabilityOffer, PlatformOptions } from "connect-plugin-host";
import { Platform } from "connect-plugin-host";
import { describe, expect, onTestFinished, test } from "vitest";
import WebSocket, { WebSocketServer } from "ws";
import { CapabilityBroker, type CapabilityGrant } from "../../src/gen/connectplugin/v1/broker_pb.js";
import { ContractHost, type Member, PlainProvider, rawRequest, toRpcReply } from "../support/contract-host.js";
import { echoOnly } from "../support/echo-plugin.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { manualClock } from "../support/manual-clock.js";

const procedure = "/connectplugin.v1.CapabilityBroker/RequestCapability";
const echoOffer: CapabilityOffer = {
  type: "echo",
  version: "1.2.0",
  routes: (router) => router.service(Echo, echoOnly("host")),
};
/** Says what it gets. */
const mirrorOffer: CapabilityOffer = {
  type: "mirror",
  version: "1.0.0",
  fetch: async (request) =>
    Response.json({
      url: new URL(request.url).pathname + new URL(request.url).search,
      headers: Object.fromEntries(request.headers),
      body: await request.text(),
    }),
};

const grantFor = async ({ host, headers }: Member, capabilityType: string): Promise<CapabilityGrant> => {
  const { grant } = await host.client(CapabilityBroker, { headers }).requestCapability({ capabilityType });
  if (grant === undefined) throw new Error("an answer has a grant");
  return grant;
};

const withToken = (token: string) => (next: (request: never) => unknown) => (request: never) => {
  (request as { header: Headers }).header.set("authorization", `Bearer ${token}`);
  return next(request) as never;
};

const echoAt = ({ endpointUrl: baseUrl, bearerToken }: CapabilityGrant, httpVersion: "1.1" | "2" = "1.1") =>
  createClient(Echo, createConnectTransport({ baseUrl, httpVersion, interceptors: [withToken(bearerToken) as never] }));

const codeOf = (call: Promise<unknown>): Promise<Code | "ok"> =>
  call.then(
    () => "ok" as const,
    (error) => error.code,
  );

const say = (client: Client<typeof Echo>) => codeOf(client.say({ text: "hi" }));

/** Asks for a path under a grant; with the grant's token unless another is given, or null for none. */
const ask = (url: string, token: string | null, init: RequestInit = {}): Promise<Response> =>
  fetch(url, { ...init, headers: { ...init.headers, ...(token !== null && { authorization: `Bearer ${token}` }) } });

describe("a plugin that is granted a capability", () => {
  test("calls the host's own service by Connect, at an absolute URL", async () => {
    await using host = await ContractHost.start({ capabilities: [echoOffer] });
    const plugin = await host.join("app");

    const grant = await grantFor(plugin, "echo");

    expect(grant).toMatchObject({ capabilityType: "echo", version: "1.2.0" });
    expect(grant.endpointUrl).toBe(`${host.url}/capabilities/echo/${grant.grantId}`);
    expect(await echoAt(grant).say({ text: "hi" })).toMatchObject({ text: "hi", provider: "host" });
    const seen: number[] = [];
    for await (const { index } of echoAt(grant).serverStream({ text: "a", count: 3 })) seen.push(index);
    expect(seen).toEqual([0, 1, 2]);
  });

  test("calls it by every kind of stream and by gRPC", async () => {
    await using host = await ContractHost.start({ capabilities: [echoOffer] });
    const grant = await grantFor(await host.join("app"), "echo");
    const texts = async function* () {
      yield { text: "a" };
      yield { text: "b" };
    };

    expect(await echoAt(grant).clientStream(texts())).toMatchObject({ text: "ab" });
    const back: string[] = [];
    for await (const { text } of echoAt(grant, "2").bidiStream(texts())) back.push(text);
    expect(back).toEqual(["a", "b"]);
    const grpc = createGrpcTransport({
      baseUrl: grant.endpointUrl,
      interceptors: [withToken(grant.bearerToken) as never],
    });
    expect(await createClient(Echo, grpc).say({ text: "hi" })).toMatchObject({ provider: "host" });
  });

  test("reaches a function with path and query as it sent them, and neither its secrets nor what it forged", async () => {
    await using host = await ContractHost.start({ capabilities: [mirrorOffer] });
    const plugin = await host.join("app");
    const grant = await grantFor(plugin, "mirror");

    const answer = await ask(`${grant.endpointUrl}//a%20b/c?q=%2F`, grant.bearerToken, {
      method: "POST",
      body: "body",
      headers: {
        "x-plugin-runtime-id": plugin.runtimeId,
        "x-plugin-caller-id": "admin",
        x_plugin_caller_id: "admin",
        "x-forwarded-for": "10.0.0.1",
        cookie: "a=b",
      },
    });

    const { url, headers, body } = (await answer.json()) as { url: string; headers: object; body: string };
    expect({ url, body }).toEqual({ url: "/a%20b/c?q=%2F", body: "body" });
    expect(headers).toMatchObject({
      "x-plugin-caller-id": plugin.runtimeId,
      "x-plugin-caller-self-id": "app",
      "x-plugin-service": "mirror",
      "x-forwarded-for": "127.0.0.1",
      cookie: "a=b",
    });
    expect(Object.keys(headers)).not.toEqual(expect.arrayContaining(["authorization"]));
    expect(headers).not.toHaveProperty("x-plugin-runtime-id");
    expect(headers).not.toHaveProperty("x_plugin_caller_id");
  });

  test("reaches providers of a service type, which see who it is and not its token", async () => {
    await using host = await ContractHost.start({
      capabilities: [{ type: "storage", version: "1.0.0", serviceType: "blobs" }],
    });
    await using provider = await PlainProvider.start("blob");
    const owner = await host.join("store");
    await owner.serve({ serviceType: "blobs", metadata: { base_url: provider.url } });
    const plugin = await host.join("app");
    const grant = await grantFor(plugin, "storage");

    const answer = await ask(`${grant.endpointUrl}/get/1?full`, grant.bearerToken);

    expect([answer.status, await answer.text()]).toEqual([200, "blob"]);
    expect(provider.requests).toHaveLength(1);
    expect(provider.requests[0]).toMatchObject({
      url: "/get/1?full",
      headers: { "x-plugin-caller-id": plugin.runtimeId, "x-plugin-service": "blobs" },
    });
    expect(provider.requests[0]?.headers).not.toHaveProperty("authorization");
    const noProvider = await ask(`${grant.endpointUrl.replace("storage", "blobs")}/get`, grant.bearerToken);
    expect(noProvider.status).toBe(403);
  });

  test("learns of what is offered by its handshake", async () => {
    await using host = await ContractHost.start({ capabilities: [echoOffer] });
    const mail = host.platform.offerCapability({ ...mirrorOffer, type: "mail" });
    const echo = { type: "echo", version: "1.2.0", endpoint: "/capabilities/echo" };

    expect((await host.handshake()).body.hostCapabilities).toEqual([
      echo,
      { type: "mail", version: "1.0.0", endpoint: "/capabilities/mail" },
    ]);
    mail[Symbol.dispose]();
    expect((await host.handshake()).body.hostCapabilities).toEqual([echo]);
  });
});

describe("a request for a capability", () => {
  test.each([
    { message: { capabilityType: "print" }, code: "not_found", hostCode: "CAPABILITY_NOT_FOUND" },
    {
      message: { capabilityType: "echo", minVersion: "2.0.0" },
      code: "failed_precondition",
      hostCode: "CAPABILITY_VERSION_MISMATCH",
    },
    { message: { capabilityType: "" }, code: "invalid_argument", hostCode: "INVALID_ARGUMENT" },
    { message: { capabilityType: "echo", minVersion: "new" }, code: "invalid_argument", hostCode: "INVALID_ARGUMENT" },
  ])("for $message gets $code", async ({ message, code, hostCode }) => {
    await using host = await ContractHost.start({ capabilities: [echoOffer] });
    const plugin = await host.join("app");

    const reply = await plugin.rpc(procedure, message);

    expect(reply).toMatchObject({ code, headers: { "error-code": hostCode } });
  });

  test("may come under the prefix /broker, with a launch or join prefix in front too", async () => {
    await using host = await ContractHost.start({ capabilities: [echoOffer], joinToken: "join-token" });
    const plugin = await host.join("app");
    const message = { capabilityType: "echo" };

    for (const prefix of ["/broker", "//broker", "/_join/join-token/broker"]) {
      const reply = await host.rpc(procedure, message, plugin.headers, prefix);
      expect(reply.body.grant, prefix).toMatchObject({ capabilityType: "echo", version: "1.2.0" });
      expect(reply.body.grant.endpointUrl).toBe(`${host.url}/capabilities/echo/${reply.body.grant.grantId}`);
    }
    const other = await host.rpc("/broker/connectplugin.v1.ServiceRegistry/DiscoverService", {}, plugin.headers);
    expect(other.status).toBe(404);
  });

  test.each([
    { headers: {}, allowAnonymous: false, code: "unauthenticated" },
    { headers: {}, allowAnonymous: true, code: undefined },
    { headers: { authorization: "Bearer wrong" }, allowAnonymous: true, code: "unauthenticated" },
    {
      headers: { authorization: "Bearer wrong", "x-plugin-runtime-id": "app-1" },
      allowAnonymous: true,
      code: "unauthenticated",
    },
  ])("with $headers where anonymous requests are allowed: $allowAnonymous, gets $code", async (row) => {
    const { headers, allowAnonymous, code } = row;
    await using host = await ContractHost.start({ capabilities: [echoOffer], grants: { allowAnonymous } });

    const reply = await host.rpc(procedure, { capabilityType: "echo" }, headers as Record<string, string>);

    expect(reply.code).toBe(code);
    if (code === undefined) {
      const { endpointUrl, bearerToken } = reply.body.grant;
      const answer = await ask(`${endpointUrl}/echo.v1.Echo/Say`, bearerToken, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: "{}",
      });
      expect(await answer.json()).toEqual({ provider: "host" });
    }
  });

  test("that is anonymous gets to a provider as a guest, without the token", async () => {
    await using host = await ContractHost.start({
      capabilities: [{ type: "storage", version: "1.0.0", serviceType: "blobs" }],
      grants: { allowAnonymous: true },
    });
    await using provider = await PlainProvider.start();
    await (await host.join("store")).serve({ serviceType: "blobs", metadata: { base_url: provider.url } });
    const { body } = await host.rpc(procedure, { capabilityType: "storage" });

    expect((await ask(`${body.grant.endpointUrl}/x`, body.grant.bearerToken)).status).toBe(200);
    expect(provider.requests[0]?.headers).toMatchObject({ "x-plugin-caller-id": "ingress" });
    expect(provider.requests[0]?.headers).not.toHaveProperty("authorization");
  });

  test("is refused by the offer's own rule with permission_denied and its reason", async () => {
    const authorize = ({ reason }: { reason: string }) => (reason === "letters" ? undefined : "letters only");
    await using host = await ContractHost.start({ capabilities: [{ ...mirrorOffer, authorize }] });
    const plugin = await host.join("app");

    const refused = await plugin.rpc(procedure, { capabilityType: "mirror", reason: "spam" });
    expect(refused).toMatchObject({ code: "permission_denied", message: "letters only" });
    expect((await plugin.rpc(procedure, { capabilityType: "mirror", reason: "letters" })).code).toBeUndefined();
  });

  test("beyond the limit of a plugin gets resource_exhausted; another plugin has a limit of its own", async () => {
    await using host = await ContractHost.start({ capabilities: [echoOffer], grants: { maxPerPlugin: 2 } });
    const [one, two] = [await host.join("one"), await host.join("two")];
    const codes = [];
    for (const plugin of [one, one, one, two]) {
      codes.push((await plugin.rpc(procedure, { capabilityType: "echo" })).code);
    }
    expect(codes).toEqual([undefined, undefined, "resource_exhausted", undefined]);
  });

  test("at a host whose URL nobody knows gets failed_precondition, and no grant", async () => {
    const host = await startMounted({ capabilities: [echoOffer], grants: { allowAnonymous: true, maxPerPlugin: 1 } });
    const request = () => host.rpc(procedure, { capabilityType: "echo" });

    expect(await request()).toMatchObject({ status: 400, headers: { "error-code": "HOST_URL_UNKNOWN" } });
    expect(await request()).toMatchObject({ status: 400, headers: { "error-code": "HOST_URL_UNKNOWN" } });
  });

  test("at a host with a public URL gets a grant there", async () => {
    const publicUrl = "https://plugins.example.org/host/";
    const host = await startMounted({ capabilities: [echoOffer], publicUrl, grants: { allowAnonymous: true } });

    const { body } = await host.rpc(procedure, { capabilityType: "echo" }, { host: "plugins.example.org" });

    expect(body.grant.endpointUrl).toBe(`https://plugins.example.org/host/capabilities/echo/${body.grant.grantId}`);
  });
});

/** A platform in a server of somebody else. */
async function startMounted(options: PlatformOptions) {
  const platform = new Platform(options);
  const server = http.createServer(platform.handler).listen(0, "127.0.0.1");
  onTestFinished(async () => {
    server.close();
    await platform.stop();
  });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    rpc: async (path: string, message: object, headers: Record<string, string> = {}) => {
      const json = { "content-type": "application/json", ...headers };
      return toRpcReply(await rawRequest(port, { path, headers: json, body: JSON.stringify(message) }));
    },
  };
}

describe("a path under a grant", () => {
  test("is 401 with a missing, a wrong or another grant's token, and for a grant that does not exist", async () => {
    await using host = await ContractHost.start({ capabilities: [mirrorOffer] });
    const plugin = await host.join("app");
    const grant = await grantFor(plugin, "mirror");
    const other = await grantFor(plugin, "mirror");
    const runtimeToken = plugin.headers.authorization?.slice("Bearer ".length) ?? "";

    for (const token of [null, "wrong", other.bearerToken, runtimeToken]) {
      const answer = await ask(`${grant.endpointUrl}/x`, token);
      expect(answer.status).toBe(401);
      expect(await answer.json()).toMatchObject({ code: "unauthenticated" });
    }
    const gone = await ask(`${host.url}/capabilities/mirror/grant-0123456789abcdef/x`, grant.bearerToken);
    expect(gone.status).toBe(401);
    const withIdentity = await ask(`${grant.endpointUrl}/x`, null, { headers: plugin.headers });
    expect(withIdentity.status).toBe(401);
    expect((await ask(`${grant.endpointUrl}/x`, grant.bearerToken)).status).toBe(200);
  });

  test("answers a wrong token in the protocol of the caller", async () => {
    await using host = await ContractHost.start({ capabilities: [echoOffer] });
    const grant = { ...(await grantFor(await host.join("app"), "echo")), bearerToken: "wrong" };

    expect(await say(echoAt(grant))).toBe(Code.Unauthenticated);
    expect(await codeOf(echoAt(grant, "2").serverStream({})[Symbol.asyncIterator]().next())).toBe(Code.Unauthenticated);
    const interceptors = [withToken("wrong") as never];
    const grpc = createGrpcTransport({ baseUrl: grant.endpointUrl, interceptors });
    expect(await say(createClient(Echo, grpc))).toBe(Code.Unauthenticated);
  });

  test("is 401 when the grant's time is over", async () => {
    const clock = manualClock();
    await using host = await ContractHost.start({ capabilities: [mirrorOffer], clock });
    const grant = await grantFor(await host.join("app"), "mirror");

    clock.advance(3_599_999);
    expect((await ask(grant.endpointUrl, grant.bearerToken)).status).toBe(200);
    clock.advance(1);
    expect((await ask(grant.endpointUrl, grant.bearerToken)).status).toBe(401);
  });

  test("is 401 when the plugin was removed, or the capability withdrawn", async () => {
    await using host = await ContractHost.start();
    const offered = host.platform.offerCapability(mirrorOffer);
    const [removed, kept] = [await host.join("removed"), await host.join("kept")];
    const [gone, grant] = [await grantFor(removed, "mirror"), await grantFor(kept, "mirror")];

    await host.platform.removePlugin(removed.runtimeId, { limits: { graceMs: 0, drainMs: 0, shutdownMs: 0 } });
    expect((await ask(gone.endpointUrl, gone.bearerToken)).status).toBe(401);
    expect((await ask(grant.endpointUrl, grant.bearerToken)).status).toBe(200);
    offered.withdraw();
    expect((await ask(grant.endpointUrl, grant.bearerToken)).status).toBe(401);
  });

  test("is 403 if its type is not the grant's", async () => {
    await using host = await ContractHost.start({ capabilities: [mirrorOffer, echoOffer] });
    const grant = await grantFor(await host.join("app"), "mirror");

    const answer = await ask(`${host.url}/capabilities/echo/${grant.grantId}/x`, grant.bearerToken);

    expect(answer.status).toBe(403);
    expect(await answer.json()).toMatchObject({ code: "permission_denied" });
  });

  test.each([
    { rest: "/../x", status: 400 },
    { rest: "/a/%2e%2E/x", status: 400 },
    { rest: "/a%2F..%2Fx", status: 400 },
    { rest: "/a/..", status: 400 },
    { rest: "/a\\b%5cc", status: 400 },
    { rest: "/%zz", status: 400 },
    { rest: "/connectplugin.v1.PluginControl/Shutdown", status: 400 },
    { rest: "", status: 200 },
    { rest: "/", status: 200 },
    { rest: "?q", status: 200 },
    { rest: "/a..b/...", status: 200 },
  ])("with $rest behind it is answered with $status", async ({ rest, status }) => {
    await using host = await ContractHost.start({ capabilities: [mirrorOffer] });
    const grant = await grantFor(await host.join("app"), "mirror");
    const path = new URL(grant.endpointUrl).pathname;

    const reply = await host.raw({
      path: `${path}${rest}`,
      method: "GET",
      headers: { authorization: `Bearer ${grant.bearerToken}` },
    });

    expect(reply.status).toBe(status);
  });

  test.each(["/capabilities", "/capabilities/", "/capabilities/mirror", "/capabilities/mirror/", "/capabilities//x/y"])(
    "that is incomplete, %s, is 404, whatever is exposed at the root",
    async (path) => {
      await using host = await ContractHost.start({
        capabilities: [mirrorOffer],
        ingress: [{ prefix: "/", type: "site", access: "open" }],
      });
      expect((await host.raw({ path, method: "GET" })).status).toBe(404);
    },
  );

  test("is not routed by X-Plugin-Target to somebody else", async () => {
    await using host = await ContractHost.start({ capabilities: [mirrorOffer] });
    const grant = await grantFor(await host.join("app"), "mirror");

    const answer = await ask(`${grant.endpointUrl}/x`, grant.bearerToken, {
      headers: { "x-plugin-target": "echo/any" },
    });

    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ url: "/x" });
  });

  test("of a function that throws is 500, and the host goes on", async () => {
    const offer: CapabilityOffer = {
      type: "bad",
      version: "1.0.0",
      fetch: () => {
        throw new Error("secret detail");
      },
    };
    await using host = await ContractHost.start({ capabilities: [offer] });
    const grant = await grantFor(await host.join("app"), "bad");

    const answer = await ask(`${grant.endpointUrl}/x`, grant.bearerToken);

    expect(answer.status).toBe(500);
    expect(await answer.text()).not.toContain("secret detail");
    expect(host.warnings).toHaveLength(1);
    expect((await fetch(`${host.url}/health`)).status).toBe(200);
  });

  test("that no procedure has is unimplemented", async () => {
    await using host = await ContractHost.start({ capabilities: [echoOffer] });
    const grant = await grantFor(await host.join("app"), "echo");

    const answer = await ask(`${grant.endpointUrl}/echo.v1.Echo/Shout`, grant.bearerToken, { method: "POST" });

    expect(answer.status).toBe(404);
    expect(await answer.json()).toMatchObject({ code: "unimplemented" });
  });
});

test("a capability offered by a platform that has stopped, or twice, is an error", async () => {
  const platform = new Platform();
  platform.offerCapability(mirrorOffer);
  expect(() => platform.offerCapability(mirrorOffer)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  expect(() => platform.offerCapability({ ...mirrorOffer, type: "" })).toThrow(
    expect.objectContaining({ code: "INVALID_ARGUMENT", field: "offer.type" }),
  );
  await platform.stop();
  expect(() => platform.offerCapability({ ...mirrorOffer, type: "x" })).toThrow(
    expect.objectContaining({ code: "HOST_STOPPED" }),
  );
});

test.each([
  { options: { capabilities: [{ type: "a", version: "1" }] }, field: "capabilities[0].version" },
  { options: { capabilities: {} }, field: "capabilities" },
  { options: { grants: { ttlMs: 0 } }, field: "grants.ttlMs" },
  { options: { grants: { maxPerPlugin: -1 } }, field: "grants.maxPerPlugin" },
  { options: { grants: { allowAnonymous: "no" } }, field: "grants.allowAnonymous" },
  { options: { grants: { ttl: 1 } }, field: "grants.ttl" },
  { options: { capabilities: [mirrorOffer, mirrorOffer] }, field: "version" },
])("a platform with a bad $field is not made", ({ options, field }) => {
  expect(() => new Platform(options as never)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT", field }));
});

describe("calls under a grant are calls like any other", () => {
  test("each is told of, whoever answers, with its result and its bytes", async () => {
    await using host = await ContractHost.start({ capabilities: [echoOffer, mirrorOffer] });
    const events: CallEvent[] = [];
    host.platform.on("call", (event) => events.push(event));
    const app = await host.join("app");
    const echo = await grantFor(app, "echo");
    const mirror = await grantFor(app, "mirror");

    await echoAt(echo).say({ text: "hi" });
    const text = await (
      await ask(`${mirror.endpointUrl}/a?b=1`, mirror.bearerToken, { method: "POST", body: "xyz" })
    ).text();
    await ask(`${echo.endpointUrl}/nothing`, echo.bearerToken);
    await ask(mirror.endpointUrl, "wrong");

    expect(events).toMatchObject([
      {
        caller: { kind: "plugin", runtimeId: app.runtimeId },
        provider: undefined,
        serviceType: "echo",
        method: "/echo.v1.Echo/Say",
        protocol: "connect-unary",
        status: 200,
        code: "ok",
        outcome: "completed",
      },
      { serviceType: "mirror", method: "/a", status: 200, requestBytes: 3, responseBytes: text.length },
      { serviceType: "echo", method: "/nothing", status: 404, code: "not_found", outcome: "completed" },
      {
        caller: { kind: "anonymous" },
        serviceType: "mirror",
        status: 401,
        code: "unauthenticated",
        outcome: "refused",
      },
    ]);
  });

  test("a stream that ends with an error is told of by its code", async () => {
    const failing: CapabilityOffer = {
      ...echoOffer,
      routes: (router) =>
        router.service(Echo, {
          ...echoOnly("host"),
          async *serverStream() {
            yield { text: "one", index: 0 };
            throw new ConnectError("no more", Code.DataLoss);
          },
        }),
    };
    await using host = await ContractHost.start({ capabilities: [failing] });
    const events: CallEvent[] = [];
    host.platform.on("call", (event) => events.push(event));
    const grant = await grantFor(await host.join("app"), "echo");
    const read = async (): Promise<void> => {
      for await (const _ of echoAt(grant).serverStream({ text: "a", count: 1 }));
    };
    expect(await codeOf(read())).toBe(Code.DataLoss);
    expect(events).toMatchObject([
      { protocol: "connect-stream", status: 200, code: "data_loss", outcome: "completed" },
    ]);
  });

  test.each([{ offer: echoOffer }, { offer: mirrorOffer }])(
    "they count in their caller's rate: $offer.type",
    async ({ offer }) => {
      const clock = manualClock();
      await using host = await ContractHost.start({
        capabilities: [offer],
        clock,
        callerRate: { perSecond: 1, burst: 2 },
      });
      const app = await host.join("app");
      const grant = await grantFor(app, offer.type);
      const status = async (): Promise<number> => {
        const json = { "content-type": "application/json" };
        const init = { method: "POST", body: "{}", headers: json };
        return (await ask(`${grant.endpointUrl}/echo.v1.Echo/Say`, grant.bearerToken, init)).status;
      };

      expect([await status(), await status(), await status()]).toEqual([200, 200, 429]);
      const other = await grantFor(await host.join("other"), offer.type);
      expect((await ask(`${other.endpointUrl}/x`, other.bearerToken)).status).not.toBe(429);
      clock.advance(1_000);
      expect(await status()).toBe(200);
    },
  );

  test("a body that is announced to be too long is refused", async () => {
    await using host = await ContractHost.start({ capabilities: [mirrorOffer], router: { maxBodyBytes: 3 } });
    const grant = await grantFor(await host.join("app"), "mirror");
    const post = (body: string) => ask(grant.endpointUrl, grant.bearerToken, { method: "POST", body });
    expect((await post("abc")).status).toBe(200);
    expect((await post("abcd")).status).toBe(413);
  });

  test("a body that turns out to be too long is refused, whoever reads it and however it is sent", async () => {
    const lateOffer: CapabilityOffer = {
      type: "late",
      version: "1.0.0",
      // Answers before it reads.
      fetch: (request) => new Response(request.body, { headers: { "x-a": "b" } }),
    };
    const calls: CallEvent[] = [];
    await using host = await ContractHost.start({
      capabilities: [mirrorOffer, echoOffer, lateOffer],
      router: { maxBodyBytes: 1_000 },
    });
    host.platform.on("call", (call) => calls.push(call));
    const warnings: unknown[] = [];
    host.platform.on("warning", (warning) => warnings.push(warning));
    const app = await host.join("app");
    const stream = (bytes: number) =>
      new ReadableStream({
        start(controller) {
          for (let left = bytes; left > 0; left -= 100) controller.enqueue(Buffer.alloc(100, "x"));
          controller.close();
        },
      });
    const mirror = await grantFor(app, "mirror");
    const post = (grant: CapabilityGrant, bytes: number) =>
      ask(grant.endpointUrl, grant.bearerToken, { method: "POST", body: stream(bytes), duplex: "half" } as RequestInit);
    expect((await post(mirror, 1_000)).status).toBe(200);
    expect(await (await post(mirror, 50_000)).json()).toMatchObject({ code: "resource_exhausted" });
    // The caller's connection is still good, and so is the host.
    expect((await post(mirror, 1_000)).status).toBe(200);
    expect(calls.map(({ status, requestBytes }) => [status, requestBytes <= 1_000])).toEqual([
      [200, true],
      [413, false],
      [200, true],
    ]);
    const echo = await grantFor(app, "echo");
    for (const version of ["1.1", "2"] as const) {
      const long = async function* () {
        for (let i = 0; i < 50; i++) yield { text: "x".repeat(100) };
      };
      expect(await codeOf(echoAt(echo, version).clientStream(long()))).toBe(Code.ResourceExhausted);
      expect(await say(echoAt(echo, version))).toBe("ok");
    }
    const late = await grantFor(app, "late");
    expect(await (await post(late, 900)).text()).toHaveLength(900);
    await expect(post(late, 200_000).then((answer) => answer.text())).rejects.toThrow();
    expect(warnings).toEqual([]);
  });
});

describe("an upgrade under a grant", () => {
  const openSocket = async (url: string, token: string) => {
    const socket = new WebSocket(url.replace("http", "ws"), { headers: { authorization: `Bearer ${token}` } });
    socket.on("error", () => {});
    onTestFinished(() => socket.terminate());
    return Promise.race([
      once(socket, "open").then(() => socket),
      once(socket, "unexpected-response").then(([, answer]) => (answer as http.IncomingMessage).statusCode),
    ]);
  };

  test("reaches a provider of the service type, without the grant's token", async () => {
    const server = http.createServer((_request, response) => void response.writeHead(404).end());
    const sockets = new WebSocketServer({ server });
    const requests: http.IncomingMessage[] = [];
    sockets.on("connection", (socket, request) => {
      requests.push(request);
      socket.on("message", (data) => socket.send(`echo ${data}`));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => {
      for (const socket of sockets.clients) socket.terminate();
      server.closeAllConnections();
      server.close();
    });
    const offer: CapabilityOffer = { type: "chat", version: "1.0.0", serviceType: "chat" };
    await using host = await ContractHost.start({ capabilities: [offer] });
    const chat = await host.join("chat");
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await chat.serve({ serviceType: "chat", metadata: { base_url: baseUrl } });
    await host.until(() =>
      host.platform.plugins().some(({ selfId, health }) => selfId === "chat" && health === "healthy"),
    );
    const app = await host.join("app");
    const grant = await grantFor(app, "chat");

    const socket = await openSocket(`${grant.endpointUrl}/room?x=1`, grant.bearerToken);

    if (!(socket instanceof WebSocket)) throw new Error(`refused with ${socket}`);
    socket.send("hi");
    const [data] = await once(socket, "message");
    expect(String(data)).toBe("echo hi");
    expect(requests[0]?.url).toMatch(/\/room\?x=1$/);
    expect(requests[0]?.headers.authorization).toBeUndefined();
    expect(requests[0]?.headers["x-plugin-caller-id"]).toBe(app.runtimeId);
    socket.terminate();
  });

  test("is refused without a good token, and by what only answers requests", async () => {
    await using host = await ContractHost.start({ capabilities: [mirrorOffer] });
    const grant = await grantFor(await host.join("app"), "mirror");
    expect(await openSocket(grant.endpointUrl, "wrong")).toBe(401);
    expect(await openSocket(grant.endpointUrl, grant.bearerToken)).toBe(501);
  });
});
