import http from "node:http";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Client, Code, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { expect, onTestFinished, test } from "vitest";
import { connectHandler } from "../../src/http/connect-handler.js";
import type { CallEvent } from "../../src/index.js";
import { callKind, resetCode } from "../../src/link/frame.js";
import { okEnd } from "../../src/link/head-codec.js";
import { HttpExchange } from "../../src/link/http-exchange.js";
import type { LinkStream, LinkStreamHandler } from "../../src/link/link-stream.js";
import { servePlugin } from "../../src/plugin/index.js";
import { echoOnly } from "../support/echo-plugin.js";
import {
  BidiStreamRequestSchema,
  BidiStreamResponseSchema,
  Echo,
  SayRequestSchema,
  SayResponseSchema,
} from "../support/gen/echo/v1/echo_pb.js";
import { type Identity, startHost, type TestHost } from "../support/host.js";
import { type LinkPlugin, linkPlugin } from "../support/link-plugin.js";
import { echoPlugin } from "../support/plugins.js";

/** A provider on a link whose HTTP exchanges go to a Connect handler, as those of the SDK do. */
function connectProvider(provider: string): (stream: LinkStream) => LinkStreamHandler | undefined {
  const handler = connectHandler({ routes: (router) => router.service(Echo, echoOnly(provider)) });
  const connection = { transport: "tcp", remoteAddress: "", encrypted: false, principal: undefined } as const;
  return (stream) => {
    if (stream.head.kind !== callKind.http) return undefined;
    const exchange = new HttpExchange(stream, connection);
    queueMicrotask(() => void handler.handle(exchange));
    return exchange.handler;
  };
}

async function provider(host: TestHost, selfId: string, type = "echo"): Promise<LinkPlugin> {
  const plugin = await linkPlugin(host.url, await host.handshake(selfId), { serve: connectProvider(selfId) });
  await plugin.register(type);
  await host.until(() => stateOf(host, plugin.identity) === "healthy");
  return plugin;
}

const stateOf = (host: TestHost, { runtimeId }: Identity): string =>
  host.platform.plugins().find((plugin) => plugin.runtimeId === runtimeId)?.health ?? "none";

function clientOver(
  host: TestHost,
  protocol: "connect" | "grpc" | "grpc-web",
  identity: Identity,
): Client<typeof Echo> {
  const interceptors = [
    (call: never) => (request: never) => {
      const { header } = request as unknown as { header: Headers };
      header.set("x-plugin-runtime-id", identity.runtimeId);
      header.set("authorization", `Bearer ${identity.token}`);
      header.set("x-plugin-target", "echo/any");
      return (call as unknown as (request: unknown) => unknown)(request);
    },
  ] as never;
  const options = { baseUrl: host.url, interceptors };
  if (protocol === "grpc") return createClient(Echo, createGrpcTransport(options));
  if (protocol === "grpc-web") return createClient(Echo, createGrpcWebTransport({ ...options, httpVersion: "1.1" }));
  return createClient(Echo, createConnectTransport({ ...options, httpVersion: "2" }));
}

async function* texts(...list: string[]) {
  for (const text of list) yield { text };
}

test.each(["connect", "grpc", "grpc-web"] as const)(
  "a caller of %s over HTTP reaches a provider that has nothing but a link, in all kinds of calls",
  async (protocol) => {
    await using host = await startHost();
    await using _provider = await provider(host, "far");
    const client = clientOver(host, protocol, await host.handshake("caller"));
    expect(await client.say({ text: "hi" })).toMatchObject({ text: "hi", provider: "far" });
    const streamed: string[] = [];
    for await (const { text } of client.serverStream({ text: "s", count: 3 })) streamed.push(text);
    expect(streamed).toEqual(["s", "s", "s"]);
    expect(await client.clientStream(texts("a", "b"))).toMatchObject({ text: "ab", count: 2 });
    if (protocol === "grpc-web") return;
    const both: string[] = [];
    for await (const { text } of client.bidiStream(texts("x", "y"))) both.push(text);
    expect(both).toEqual(["x", "y"]);
  },
);

test("calls of the host's own program reach a provider that has nothing but a link as messages", async () => {
  await using host = await startHost();
  await using far = await provider(host, "far");
  const client = host.platform.client(Echo);
  // Messages come back as they were.
  expect(await client.say({ text: "hi" })).toMatchObject({ text: "hi" });
  const both: string[] = [];
  for await (const { text } of client.bidiStream(texts("x", "y"))) both.push(text);
  expect(both).toEqual(["x", "y"]);
  expect(far.heads.map(({ kind }) => kind)).toEqual([callKind.unary, callKind.bidi]);
});

test("what a provider takes for too large fails its caller, and the provider goes on for the others", async () => {
  await using host = await startHost();
  const full = (stream: LinkStream): LinkStreamHandler | undefined => {
    if (!stream.head.path.endsWith("/Full")) return undefined;
    stream.reset(resetCode.tooLarge, "a message has more than 5 bytes");
    return { onData() {}, onEnd() {}, onReset() {} };
  };
  await using far = await linkPlugin(host.url, await host.handshake("far"), { serve: full });
  await far.register("echo");
  await using near = await linkPlugin(host.url, await host.handshake("near"));
  for (let call = 0; call < 6; call++) {
    const { end } = await near.call("/services/echo/any/Full");
    expect([end?.code, end?.message]).toEqual([Code.ResourceExhausted, expect.stringContaining("more than 5 bytes")]);
  }
  expect((await near.call("/services/echo/any/Say")).messages).toEqual(["hi"]);
});

test("an upgrade to a provider that has nothing but a link is refused with the reason", async () => {
  await using host = await startHost();
  await using _provider = await provider(host, "far");
  const { runtimeId, token } = await host.handshake("near");
  const headers = {
    connection: "Upgrade",
    upgrade: "websocket",
    "x-plugin-runtime-id": runtimeId,
    authorization: `Bearer ${token}`,
  };
  const answer = await new Promise<http.IncomingMessage>((resolve, reject) => {
    http.get(`${host.url}/services/echo/any/chat`, { headers }, resolve).on("error", reject);
  });
  answer.setEncoding("utf8");
  let body = "";
  for await (const text of answer) body += text;
  expect(answer.statusCode).toBe(501);
  expect(body).toMatch(/link/);
});

test("a call from link to link arrives with who calls, and its answer, trailers and account are right", async () => {
  await using host = await startHost();
  await using caller = await linkPlugin(host.url, await host.handshake("near"));
  await using far = await linkPlugin(host.url, await host.handshake("far"));
  await far.register("echo");
  await host.until(() => stateOf(host, far.identity) === "healthy");
  const told = host.next("call");
  const answer = await caller.call("/services/echo/any/Say?x=1", ["hi"], {
    fields: ["x-mine", "1", "x-plugin-caller-id", "forged"],
  });
  expect(answer).toMatchObject({
    messages: ["hi"],
    fields: ["x-caller", "near"],
    end: { code: 0, trailers: ["x-trailer", "t"] },
  });
  const [head] = far.heads;
  expect(head).toMatchObject({ kind: callKind.unary, path: "/echo.v1.Echo/Say?x=1" });
  const fields = Object.fromEntries(pairs(head?.fields ?? []));
  expect(fields).toMatchObject({
    "x-mine": "1",
    "x-plugin-caller-id": caller.identity.runtimeId,
    "x-plugin-caller-self-id": "near",
    "x-plugin-service": "echo",
  });
  expect(fields.traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  expect(await told).toMatchObject<Partial<CallEvent>>({
    protocol: "link",
    httpVersion: "none",
    status: 200,
    code: "ok",
    outcome: "completed",
    serviceType: "echo",
    method: "/echo.v1.Echo/Say",
    requestBytes: 2,
    responseBytes: 2,
    provider: { runtimeId: far.identity.runtimeId, selfId: "far" },
  });
});

function* pairs(fields: readonly string[]): Generator<[string, string]> {
  for (let index = 0; index < fields.length; index += 2) yield [fields[index] as string, fields[index + 1] as string];
}

test("streams go from link to link in both directions at once, and half-close", async () => {
  await using host = await startHost();
  await using caller = await linkPlugin(host.url, await host.handshake("near"));
  await using far = await linkPlugin(host.url, await host.handshake("far"));
  await far.register("echo");
  await host.until(() => stateOf(host, far.identity) === "healthy");
  const call = caller.open("/services/echo/any/Bidi");
  call.stream.send(Buffer.from("one"));
  expect(await call.next()).toBe("one");
  call.stream.send(Buffer.from("two"));
  expect(await call.next()).toBe("two");
  call.stream.end();
  expect(await call.answer).toMatchObject({ messages: ["one", "two"], end: { code: 0 } });
  const large = "x".repeat(300_000);
  const { messages } = await caller.call("/services/echo/any/Say", [large]);
  expect(messages[0] === large).toBe(true);
});

test("errors with details, and what the host itself says, come over the link as they are", async () => {
  await using host = await startHost();
  await using caller = await linkPlugin(host.url, await host.handshake("near"));
  await using far = await linkPlugin(host.url, await host.handshake("far"), {
    serve: (stream) => ({
      onData: () => stream.consume(),
      onEnd: () => stream.end({ code: 9, message: "not now", details: Buffer.from([26, 0]), trailers: ["x-why", "1"] }),
      onReset: () => {},
    }),
  });
  await far.register("echo");
  await host.until(() => stateOf(host, far.identity) === "healthy");
  const told = host.next("call");
  const { end } = await caller.call("/services/echo/any/Say");
  expect(end).toMatchObject({ code: 9, message: "not now", trailers: ["x-why", "1"] });
  expect(Array.from(end?.details ?? [])).toEqual([26, 0]);
  expect(await told).toMatchObject({ code: "failed_precondition", status: 400, outcome: "completed" });
  expect((await caller.call("/services/nobody/any/Say")).end).toMatchObject({ code: 5 });
  expect((await caller.call("/services/echo/any/../Say")).end).toMatchObject({ code: 3 });
  expect((await caller.call("/services/echo/any/connectplugin.v1.PluginControl/Shutdown")).end).toMatchObject({
    code: 3,
  });
  expect((await caller.call("/nothing/here")).end).toMatchObject({ code: 12 });
  expect((await caller.call("/connectplugin.admin.v1.PlatformService/ListPlugins")).end?.code).not.toBe(0);
});

test.each(["module", "endpoint"] as const)(
  "a caller on a link reaches a provider without one (%s), in all kinds of calls",
  async (where) => {
    await using host = await startHost();
    await using caller = await linkPlugin(host.url, await host.handshake("near"));
    if (where === "module") await host.platform.addPlugin({ module: echoPlugin({ answer: "plain" }) });
    else {
      const served = await servePlugin(echoPlugin({ answer: "plain" }), { env: {} });
      onTestFinished(() => served.stop());
      await host.platform.addPlugin({ endpoint: served.url });
    }
    await sayAndStream(caller, "plain");
  },
);

async function sayAndStream(caller: LinkPlugin, name: string): Promise<void> {
  const say = (text: string): string =>
    Buffer.from(toBinary(SayRequestSchema, create(SayRequestSchema, { text }))).toString("latin1");
  const { messages, end, fields } = await caller.call("/services/echo/any/Say", [say("hi")]);
  expect(end?.message).toBe("");
  expect(fields).not.toContain("content-type");
  expect(fromBinary(SayResponseSchema, Buffer.from(messages[0] ?? "", "latin1"))).toMatchObject({
    text: "hi",
    provider: name,
  });
  const bidi = caller.open("/services/echo/any/BidiStream");
  for (const text of ["one", "two"]) {
    bidi.stream.send(toBinary(BidiStreamRequestSchema, create(BidiStreamRequestSchema, { text })));
    expect(fromBinary(BidiStreamResponseSchema, Buffer.from(await bidi.next(), "latin1")).text).toBe(text);
  }
  bidi.stream.end();
  expect((await bidi.answer).end).toMatchObject({ ...okEnd, trailers: [] });
}
