import { create, type Message } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { guardInterceptor } from "../../../src/http/call-guard.js";
import { type ConnectHandler, type ConnectHandlerOptions, connectHandler } from "../../../src/http/connect-handler.js";
import { shareMessage } from "../../../src/http/shared-message.js";
import { deferred } from "../../../src/internal/deferred.js";
import { exchangeBytes, startServer, type TestServer } from "../../support/http-server.js";
import { type Mixed, Mixer } from "../../support/mixed-service.js";

type Mix = (request: Mixed, context: HandlerContext) => unknown;

const implementing = (mix: Mix) => ({ mix }) as unknown as Partial<ServiceImpl<typeof Mixer>>;

const routesOf =
  (mix: Mix): ConnectHandlerOptions["routes"] =>
  (router) =>
    router.service(Mixer, implementing(mix));

async function serving(handler: ConnectHandler): Promise<TestServer> {
  return startServer({
    handler: async (exchange) => {
      if ((await handler.handle(exchange)) === false) exchange.respond(404, [], true);
    },
  });
}

const head = (length: number, type = "json") =>
  `POST /test.Mixer/Mix HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/${type}\r\ncontent-length: ${length}\r\n\r\n`;

test("a body that comes in pieces is put together", async () => {
  const handler = connectHandler({ routes: routesOf(({ text }) => ({ text })) });
  await using server = await serving(handler);
  const body = JSON.stringify({ text: "x".repeat(200_000) });
  const socket = server.connect("tcp");
  const answer = exchangeBytes(socket, head(body.length));
  for (let at = 0; at < body.length; at += 50_000) {
    await new Promise((resolve) => socket.write(body.slice(at, at + 50_000), resolve));
  }
  expect((await answer).endsWith(`\r\n\r\n${body}`)).toBe(true);
  expect(handler.directCalls).toBe(1);
});

test("bytes in a message are plain ones, as Connect gives them", async () => {
  let data: Uint8Array | undefined;
  const handler = connectHandler({
    routes: routesOf((request) => {
      data = request.data;
      return {};
    }),
  });
  await using server = await serving(handler);
  await exchangeBytes(server.connect("memory"), `${head(5, "proto")}\x12\x03abc`);
  expect(handler.directCalls).toBe(1);
  expect(data).toEqual(new Uint8Array([97, 98, 99]));
  expect(Buffer.isBuffer(data)).toBe(false);
});

test("a shared answer is written once for each codec, whatever the number of callers", async () => {
  let reads = 0;
  const message = create(Mixer.method.mix.output as never) as Message;
  Object.defineProperty(message, "text", {
    enumerable: true,
    get: () => {
      reads += 1;
      return "to all: \u00e4";
    },
  });
  shareMessage(message);
  const handler = connectHandler({ routes: routesOf(() => message) });
  await using server = await serving(handler);
  const readsOf = async (type: "json" | "proto"): Promise<number> => {
    const before = reads;
    const body = type === "json" ? "{}" : "";
    const answer = await exchangeBytes(server.connect("tcp"), head(body.length, type) + body);
    expect(Buffer.from(answer, "latin1").toString()).toContain("to all: \u00e4");
    return reads - before;
  };
  expect(await readsOf("json")).toBeGreaterThan(0);
  expect(await readsOf("json")).toBe(0);
  expect(await readsOf("proto")).toBeGreaterThan(0);
  expect(await readsOf("proto")).toBe(0);
  expect(handler.directCalls).toBe(4);
});

test("an implementation is not called for a body that breaks off", async () => {
  let calls = 0;
  const ended = deferred();
  const handler = connectHandler({
    routes: routesOf(() => {
      calls += 1;
      return {};
    }),
  });
  await using server = await startServer({
    handler: async (exchange) => {
      await handler.handle(exchange);
      ended.resolve();
    },
  });
  const socket = server.connect("tcp");
  socket.on("error", () => {});
  socket.write(`${head(100)}{"text"`, () => setImmediate(() => socket.destroy()));
  await ended.promise;
  expect(handler.directCalls).toBe(1);
  expect(calls).toBe(0);
  expect(server.errors).toEqual([]);
});

test("a caller who goes away aborts the signal of the implementation", async () => {
  const entered = deferred();
  const aborted = deferred<unknown>();
  const handler = connectHandler({
    routes: routesOf(async (_request, { signal }) => {
      const gone = new Promise((resolve) => signal.addEventListener("abort", resolve));
      entered.resolve();
      await gone;
      aborted.resolve(signal.reason);
      throw signal.reason;
    }),
  });
  await using server = await serving(handler);
  const socket = server.connect("tcp");
  socket.write(`${head(2)}{}`);
  await entered.promise;
  socket.destroy();
  expect(ConnectError.from(await aborted.promise).code).toBe(Code.Canceled);
  expect(handler.directCalls).toBe(1);
});

test("the signal is aborted when an answer is on its way", async () => {
  let signal: AbortSignal | undefined;
  const handler = connectHandler({
    routes: routesOf((_request, context) => {
      signal = context.signal;
      return {};
    }),
  });
  await using server = await serving(handler);
  await exchangeBytes(server.connect("memory"), `${head(2)}{}`);
  expect(signal?.aborted).toBe(true);
});

test("the signal of a call that failed tells the error", async () => {
  const error = new Error("as it is");
  let signal: AbortSignal | undefined;
  const handler = connectHandler({
    routes: routesOf((_request, context) => {
      signal = context.signal;
      throw error;
    }),
  });
  await using server = await serving(handler);
  expect(await exchangeBytes(server.connect("memory"), `${head(2)}{}`)).toContain("internal error");
  expect(signal?.reason).toBe(error);
});

describe("the same as through Connect's own handlers", () => {
  const text = "é".repeat(50);
  const long = Buffer.byteLength(JSON.stringify({ text }));
  const named = (name: string) => (error: unknown) =>
    new ConnectError(`${name}(${ConnectError.from(error).rawMessage})`);
  const refusal = () => {
    throw new ConnectError("no");
  };
  const outer = guardInterceptor({ mapError: named("outer") });
  const inner = guardInterceptor({ mapError: named("inner") });

  test.each<[string, Omit<ConnectHandlerOptions, "routes">, RegExp]>([
    ["an answer of exactly the size that is compressed", { compressMinBytes: long }, /content-encoding: gzip/],
    ["an answer one byte below that", { compressMinBytes: long + 1 }, new RegExp(text, "u")],
    ["an answer as large as is allowed", { writeMaxBytes: long }, new RegExp(text, "u")],
    ["an answer that is too large in bytes, not in letters", { writeMaxBytes: long - 1 }, /resource_exhausted/],
    ["a refusal by a guard", { interceptors: [outer, guardInterceptor({ before: refusal })] }, /"outer\(no\)"/],
    [
      "a refusal by a guard that maps errors",
      { interceptors: [outer, guardInterceptor({ before: refusal, mapError: named("own") }), inner] },
      /"outer\(own\(no\)\)"/,
    ],
  ])("%s", async (_what, options, expected) => {
    const accepts = options.compressMinBytes === undefined ? "identity" : "gzip";
    const request = `${head(2).replace("content-length", `accept-encoding: ${accepts}\r\ncontent-length`)}{}`;
    const answers = await Promise.all(
      [true, false].map(async (direct) => {
        const handler = connectHandler({ ...options, direct, routes: routesOf(() => ({ text })) });
        await using server = await serving(handler);
        const answer = await exchangeBytes(server.connect("memory"), request);
        expect(handler.directCalls).toBe(direct ? 1 : 0);
        return Buffer.from(answer, "latin1")
          .toString()
          .replace(/^date: .*$/im, "");
      }),
    );
    expect(answers[0]).toBe(answers[1]);
    expect(answers[0]).toMatch(expected);
  });
});

describe("goes through Connect's own handlers", () => {
  const mix: Mix = ({ text }) => ({ text });
  test.each<[string, ConnectHandlerOptions]>([
    ["a service with options of its own", { routes: (router) => router.service(Mixer, implementing(mix), {}) }],
    ["a handler with a signal of its own", { routes: routesOf(mix), shutdownSignal: new AbortController().signal }],
    ["a handler that is told to", { routes: routesOf(mix), direct: false }],
  ])("%s", async (_what, options) => {
    const handler = connectHandler(options);
    await using server = await serving(handler);
    expect(await exchangeBytes(server.connect("memory"), `${head(13)}{"text":"it"}`)).toContain('{"text":"it"}');
    expect(handler.directCalls).toBe(0);
  });
});

test("a single procedure, and services after it, go the direct way", async () => {
  const handler = connectHandler({
    routes: (router) =>
      router.rpc(Mixer.method.mix, (() => ({ text: "alone" })) as never).service(Mixer, { get: () => ({}) } as never),
  });
  await using server = await serving(handler);
  const answer = await exchangeBytes(server.connect("memory"), `${head(2)}{}`);
  // The last to be added has the path, as with Connect's own adapters.
  expect(answer).toContain("501");
  expect(handler.directCalls).toBe(1);
});

test("an implementation keeps its `this`", async () => {
  class Greeter {
    greeting = "hello";
    mix() {
      return { text: this.greeting };
    }
  }
  const handler = connectHandler({ routes: (router) => router.service(Mixer, new Greeter() as never) });
  await using server = await serving(handler);
  expect(await exchangeBytes(server.connect("memory"), `${head(2)}{}`)).toContain("hello");
});
