import { create, type Message } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { type ConnectHandler, connectHandler } from "../../../src/http/connect-handler.js";
import { shareMessage } from "../../../src/http/shared-message.js";
import { type Deferred, deferred } from "../../../src/internal/deferred.js";
import { exchangeBytes, startCall, startServer, type TestServer, type Way, within } from "../../support/http-server.js";
import { type Mixed, Mixer } from "../../support/mixed-service.js";

type Stream = (request: Mixed, context: HandlerContext) => AsyncIterable<unknown>;

/** A server of `Stream`. `ended` is resolved when a call has been served. */
async function serving(
  stream: Stream,
): Promise<{ handler: ConnectHandler; server: TestServer; ended: Deferred<void> }> {
  const ended = deferred();
  const handler = connectHandler({
    readMaxBytes: 1_000,
    routes: (router) => router.service(Mixer, { stream } as unknown as Partial<ServiceImpl<typeof Mixer>>),
  });
  const server = await startServer({
    handler: async (exchange) => {
      await handler.handle(exchange);
      ended.resolve();
    },
  });
  return { handler, server, ended };
}

const path = "/test.Mixer/Stream";
const envelope = (text: string): Buffer => {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(Buffer.byteLength(text), 1);
  return Buffer.concat([prefix, Buffer.from(text)]);
};
const json = { "content-type": "application/connect+json" };

function ask(server: TestServer, headers: Record<string, string> = json, body = envelope("{}"), way: Way = "tcp") {
  const call = startCall(server, "1.1", { path, headers, way });
  call.request.end(body);
  return call;
}

test("a slow reader holds the implementation up, and gets everything in the end", async () => {
  const data = new Uint8Array(64 * 1024);
  const all = 400;
  let yielded = 0;
  const { handler, server } = await serving(async function* () {
    for (; yielded < all; yielded++) yield { data };
  });
  await using _server = server;
  using call = ask(server, json, envelope("{}"), "memory");
  const { body } = await call.head;
  // Nothing is read: what fits between us fills up, and then the count stands still.
  for (let before = -1; before !== yielded; ) {
    before = yielded;
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  expect(yielded).toBeLessThan(all);
  let bytes = 0;
  for await (const chunk of body) bytes += (chunk as Buffer).length;
  expect(yielded).toBe(all);
  expect(bytes).toBeGreaterThan(all * data.length);
  expect(handler.directCalls).toBe(1);
});

describe("when the caller goes away", () => {
  test("an implementation that waits is told by its signal", async () => {
    const waits = deferred();
    const told = deferred<unknown>();
    const { handler, server, ended } = await serving(async function* (_request, { signal }) {
      yield {};
      const gone = new Promise((resolve) => signal.addEventListener("abort", resolve));
      waits.resolve();
      await gone;
      told.resolve(signal.reason);
      throw signal.reason;
    });
    await using _server = server;
    using call = ask(server);
    await call.head;
    await waits.promise;
    call.leave();
    expect(ConnectError.from(await within(5_000, "the signal", told.promise)).code).toBe(Code.Canceled);
    await within(5_000, "the end of the call", ended.promise);
    expect(handler.directCalls).toBe(1);
    expect(server.errors).toEqual([]);
  });

  test("an implementation that is held up cleans up", async () => {
    const cleaned = deferred<unknown>();
    const { server, ended } = await serving(async function* () {
      try {
        for (;;) yield { data: new Uint8Array(256 * 1024) };
      } catch (error) {
        cleaned.resolve(error);
      }
    });
    await using _server = server;
    using call = ask(server);
    await call.head;
    call.leave();
    expect(ConnectError.from(await within(5_000, "the clean-up", cleaned.promise)).code).toBe(Code.Canceled);
    await within(5_000, "the end of the call", ended.promise);
  });

  test("before the request is complete, the implementation is not called", async () => {
    let calls = 0;
    const { server, ended } = await serving(async function* () {
      calls += 1;
      yield {};
    });
    await using _server = server;
    const call = startCall(server, "1.1", { path, headers: { ...json, "content-length": "100" } });
    call.request.write(envelope('{"text'), () => setImmediate(() => call.leave()));
    await within(5_000, "the end of the call", ended.promise);
    expect(calls).toBe(0);
  });
});

test("an envelope that is too long, or a second one, is answered without a wait for the rest", async () => {
  const { handler, server } = await serving(async function* () {
    yield {};
  });
  await using _server = server;
  for (const start of [Buffer.from([0, 255, 255, 255, 255]), Buffer.concat([envelope("{}"), envelope("{}")])]) {
    using call = startCall(server, "1.1", { path, headers: json });
    call.request.write(start);
    const { body } = await within(5_000, "the head of the answer", call.head);
    let text = "";
    body.on("data", (chunk) => {
      text += chunk;
    });
    await within(5_000, "the end of the answer", new Promise((resolve) => body.once("end", resolve)));
    expect(text).toContain('"error"');
  }
  expect(handler.directCalls).toBe(0);
});

test("a shared message is written once for each codec, whatever the number of callers", async () => {
  let reads = 0;
  const message = create(Mixer.method.stream.output as never) as Message;
  Object.defineProperty(message, "text", {
    enumerable: true,
    get: () => {
      reads += 1;
      return "to all";
    },
  });
  shareMessage(message);
  const { handler, server } = await serving(async function* () {
    yield message;
  });
  await using _server = server;
  const readsOf = async (headers: Record<string, string>, body: Buffer): Promise<number> => {
    const before = reads;
    using call = ask(server, headers, body);
    expect((await call.answer()).text).toContain("to all");
    return reads - before;
  };
  const binary = { "content-type": "application/connect+proto" };
  expect(await readsOf(json, envelope("{}"))).toBeGreaterThan(0);
  expect(await readsOf(json, envelope("{}"))).toBe(0);
  expect(await readsOf(binary, envelope(""))).toBeGreaterThan(0);
  expect(await readsOf(binary, envelope(""))).toBe(0);
  expect(handler.directCalls).toBe(4);
});

test("head and first message leave in one piece", async () => {
  const { server } = await serving(async function* () {
    yield { text: "first" };
    await new Promise(() => {});
  });
  await using _server = server;
  const socket = server.connect("tcp");
  const first = new Promise<Buffer>((resolve) => socket.once("data", resolve));
  const body = envelope("{}");
  socket.write(
    `POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/connect+json\r\ncontent-length: ${body.length}\r\n\r\n`,
  );
  socket.write(body);
  expect((await within(5_000, "the answer", first)).toString("latin1")).toMatch(/^HTTP\/1.1 200.*"text":"first"/s);
  socket.destroy();
});

test("what is not a stream of Connect goes another way", async () => {
  const { handler, server } = await serving(async function* () {
    yield {};
  });
  await using _server = server;
  const ask = (type: string) =>
    exchangeBytes(
      server.connect("memory"),
      `POST ${path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: ${type}\r\ncontent-length: 5\r\n\r\n\0\0\0\0\0`,
    );
  expect(await ask("application/grpc")).toMatch(/grpc-status: 0/i);
  expect(await ask("application/proto")).toMatch(/^HTTP\/1.1 415/);
  expect(handler.directCalls).toBe(0);
});
