import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { PluginControl } from "../../src/gen/connectplugin/v1/control_pb.js";
import { PluginIdentity } from "../../src/gen/connectplugin/v1/identity_pb.js";
import { deferred } from "../../src/internal/deferred.js";
import { callKind, resetCode } from "../../src/link/frame.js";
import { okEnd } from "../../src/link/head-codec.js";
import type { LinkCallHead, LinkEnd } from "../../src/link/link-stream.js";
import { type DefinedPlugin, definePlugin, servePlugin } from "../../src/plugin/index.js";
import { echoOnly } from "../support/echo-plugin.js";
import { FakeHost } from "../support/fake-host.js";
import { Echo, SayRequestSchema } from "../support/gen/echo/v1/echo_pb.js";

const provider = definePlugin({
  id: "provider",
  version: "1.0.0",
  provides: {
    echo: { service: Echo },
    pages: { handler: "fetch", path: "/pages/" },
    files: { handler: "node", path: "/files/" },
  },
  setup: () => ({
    echo: echoOnly("provider"),
    pages: async (request) =>
      new Response(`${request.method} ${new URL(request.url).pathname} ${await request.text()}`, {
        status: 201,
        headers: { "x-page": "1" },
      }),
    files: (req, res) => {
      const chunks: Buffer[] = [];
      req.on("data", (chunk: Buffer) => chunks.push(chunk));
      req.on("end", () => {
        res.writeHead(202, { "x-file": req.headers.host ?? "", trailer: "x-sum" });
        res.write(`${req.method} ${req.url} `);
        res.addTrailers({ "x-sum": "7" });
        res.end(Buffer.concat(chunks));
      });
    },
  }),
});

/** A plugin without a port, as its host sees it: calls go straight onto its link. */
async function onLink(plugin: DefinedPlugin) {
  const host = await FakeHost.start({ links: true });
  const running = await servePlugin(plugin, { hostUrl: host.url, env: {}, listen: "never" });
  const session = host.links.get(running.runtimeId ?? "");
  if (session === undefined) throw new Error("the plugin has no link");
  /** Sends a call in pieces, and resolves with all that was answered. */
  const call = (head: Partial<LinkCallHead> & { path: string }, ...messages: Uint8Array[]) => {
    const answer = deferred<{
      fields: readonly string[];
      body: string;
      messages: Uint8Array[];
      end: LinkEnd | number;
    }>();
    const received: Uint8Array[] = [];
    let fields: readonly string[] = [];
    const done = (end: LinkEnd | number) => {
      answer.resolve({ fields, body: Buffer.concat(received).toString(), messages: received, end });
    };
    const stream = session.open(
      { kind: callKind.unary, deadlineMs: 0, fields: [], ...head },
      {
        onHead: (given) => {
          fields = given;
        },
        onData: (bytes) => {
          received.push(Uint8Array.from(bytes));
          stream.consume();
        },
        onEnd: done,
        onReset: done,
        pieces: head.kind === callKind.http,
      },
    );
    for (const message of messages) stream.send(message, head.kind !== callKind.http);
    stream.end();
    return answer.promise;
  };
  return {
    host,
    running,
    call,
    async [Symbol.asyncDispose]() {
      await running.stop({ graceMs: 100 });
      await host[Symbol.asyncDispose]();
    },
  };
}

const say = toBinary(SayRequestSchema, create(SayRequestSchema, { text: "hi" }));
const textOf = (text: string): Uint8Array => Buffer.from(text);

test("a plugin without a port answers its host's own questions on the link", async () => {
  await using plugin = await onLink(provider);
  const info = await plugin.call({ path: "/connectplugin.v1.PluginIdentity/GetPluginInfo" }, new Uint8Array());
  expect(info.end).toEqual(okEnd);
  expect(info.body).toContain("provider");
  const health = await plugin.call({ path: `/${PluginControl.typeName}/GetHealth` }, new Uint8Array());
  expect(health.end).toEqual(okEnd);
  const empty = await plugin.call({ path: `/${PluginIdentity.typeName}/SetRuntimeIdentity` }, new Uint8Array());
  expect(empty.end).toMatchObject({ code: Code.InvalidArgument });
});

test("asked to shut down on the link, it answers first and then ends", async () => {
  await using plugin = await onLink(provider);
  const answer = await plugin.call({ path: `/${PluginControl.typeName}/Shutdown` }, new Uint8Array());
  expect(answer.end).toEqual(okEnd);
  expect([...(answer.messages[0] ?? [])]).toEqual([8, 1]);
  await plugin.running.ended;
  await plugin.host.untilTrue(() => plugin.host.links.size === 0);
});

test("a caller that writes JSON is answered in JSON", async () => {
  await using plugin = await onLink(provider);
  const body = textOf(toJsonString(SayRequestSchema, create(SayRequestSchema, { text: "hi" })));
  const answer = await plugin.call({ path: "/echo.v1.Echo/Say", fields: ["content-type", "application/json"] }, body);
  expect(JSON.parse(answer.body)).toEqual({ text: "hi", provider: "provider" });
  expect(answer.fields).toEqual(["content-type", "application/json"]);
  expect(answer.end).toEqual(okEnd);
});

test.each([
  { name: "no such method", path: "/echo.v1.Echo/Shout", code: Code.Unimplemented, messages: [say] },
  { name: "another kind of method", path: "/echo.v1.Echo/BidiStream", code: Code.Unimplemented, messages: [say] },
  { name: "no message", path: "/echo.v1.Echo/Say", code: Code.Unimplemented, messages: [] },
  { name: "two messages", path: "/echo.v1.Echo/Say", code: Code.Unimplemented, messages: [say, say] },
  { name: "a message that is none", path: "/echo.v1.Echo/Say", code: Code.InvalidArgument, messages: [textOf("\xff")] },
])("a unary call with $name fails, and the link goes on", async ({ path, code, messages }) => {
  await using plugin = await onLink(provider);
  expect((await plugin.call({ path }, ...messages)).end).toMatchObject({ code });
  expect((await plugin.call({ path: "/echo.v1.Echo/Say" }, say)).end).toEqual(okEnd);
});

test("a typed call to a service that is there for HTTP only is refused, so that it can be sent that way", async () => {
  await using plugin = await onLink(provider);
  expect((await plugin.call({ path: "/pages/Get" }, say)).end).toBe(resetCode.refused);
});

test("calls that come before setup has finished wait for it", async () => {
  const go = deferred();
  const slow = definePlugin({
    id: "slow",
    version: "1.0.0",
    provides: { echo: { service: Echo } },
    async setup() {
      await go.promise;
      return { echo: echoOnly("slow") };
    },
  });
  await using host = await FakeHost.start({ links: true });
  const starting = servePlugin(slow, { hostUrl: host.url, env: {}, listen: "never" });
  await host.untilTrue(() => host.links.size === 1);
  const [session] = host.links.values();
  const outcome = deferred<unknown>();
  const stream = session?.open(
    { kind: callKind.unary, path: "/echo.v1.Echo/Say", deadlineMs: 0, fields: [] },
    { onData: () => stream?.consume(), onEnd: outcome.resolve, onReset: outcome.resolve },
    say,
    true,
  );
  // Its frames are there before the answer to this.
  await host.until("Handshake");
  go.resolve();
  expect(await outcome.promise).toEqual(okEnd);
  await (await starting).stop();
});

const http = (method: string, path: string, fields: readonly string[] = []): LinkCallHead => ({
  kind: callKind.http,
  path,
  deadlineMs: 0,
  fields: [":method", method, ":authority", "host.test", ...fields],
});
const field = (fields: readonly string[], name: string) => fields[fields.indexOf(name) + 1];

test("an HTTP exchange on the link reaches Connect's handler: JSON over POST", async () => {
  await using plugin = await onLink(provider);
  const body = textOf('{"text":"hi"}');
  const fields = ["content-type", "application/json", "content-length", String(body.length)];
  const answer = await plugin.call(http("POST", "/echo.v1.Echo/Say", fields), body);
  expect(field(answer.fields, ":status")).toBe("200");
  expect(JSON.parse(answer.body)).toEqual({ text: "hi", provider: "provider" });
});

test("an HTTP exchange on the link reaches Connect's handler: gRPC with its trailers", async () => {
  await using plugin = await onLink(provider);
  const framed = Buffer.concat([Buffer.from([0, 0, 0, 0, say.length]), say]);
  const fields = ["content-type", "application/grpc+proto", "te", "trailers"];
  const answer = await plugin.call(
    http("POST", "/echo.v1.Echo/Say", fields),
    framed.subarray(0, 3),
    framed.subarray(3),
  );
  expect(field(answer.fields, ":status")).toBe("200");
  expect(field((answer.end as LinkEnd).trailers, "grpc-status")).toBe("0");
});

test("an HTTP exchange on the link reaches handlers in the style of fetch and of node:http", async () => {
  await using plugin = await onLink(provider);
  const page = await plugin.call(http("PUT", "/pages/a?b=c"), textOf("one "), textOf("two"));
  expect([field(page.fields, ":status"), field(page.fields, "x-page"), page.body]).toEqual([
    "201",
    "1",
    "PUT /pages/a one two",
  ]);
  const file = await plugin.call(http("POST", "/files/a?b=c"), textOf("one "), textOf("two"));
  expect([field(file.fields, ":status"), field(file.fields, "x-file"), file.body]).toEqual([
    "202",
    "host.test",
    "POST /files/a?b=c one two",
  ]);
  expect(field((file.end as LinkEnd).trailers, "x-sum")).toBe("7");
  const none = await plugin.call(http("GET", "/nowhere"));
  expect(field(none.fields, ":status")).toBe("404");
});
