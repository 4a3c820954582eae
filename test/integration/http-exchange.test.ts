import { once } from "node:events";
import http from "node:http";
import { type ClientHttp2Stream, constants } from "node:http2";
import net from "node:net";
import { describe, expect, test } from "vitest";
import type { ExchangeEnd, ExchangeHandler, ServerExchange } from "../../src/http/exchange.js";
import type { Http1Exchange } from "../../src/http/http1-exchange.js";
import {
  type Answer,
  type Call,
  callOn,
  connectHttp2,
  handled,
  startCall,
  startServer,
  type Version,
  type Way,
  within,
} from "../support/http-server.js";

const versions: Version[] = ["1.1", "2"];
const ways: Way[] = ["tcp", "memory"];
// Connections in memory carry HTTP/1.1 only.
const matrix = versions.flatMap((version) =>
  ways.filter((way) => way === "tcp" || version === "1.1").map((way) => ({ version, way })),
);

const ended = (exchange: ServerExchange): Promise<ExchangeEnd> => new Promise((resolve) => exchange.onEnd(resolve));

/** By callback: node:http's client emits no `drain` any more once the whole answer has come. */
const written = (call: Call, chunk: Buffer) => new Promise<unknown>((resolve) => call.request.write(chunk, resolve));

/** A handler that hands its exchanges to the test. */
function capture(): { handler: ExchangeHandler; next(): Promise<ServerExchange> } {
  const waiting: ((exchange: ServerExchange) => void)[] = [];
  const come: ServerExchange[] = [];
  return {
    handler(exchange) {
      const first = waiting.shift();
      if (first === undefined) come.push(exchange);
      else first(exchange);
    },
    next: () => {
      const first = come.shift();
      return first === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(first);
    },
  };
}

const echo: ExchangeHandler = async (exchange) => {
  const chunks: Buffer[] = [];
  for await (const chunk of exchange.body) chunks.push(chunk as Buffer);
  exchange.respond(200, ["content-type", "text/plain", "set-cookie", "a=1", "set-cookie", "b=2"]);
  exchange.response.write(Buffer.concat(chunks));
  exchange.end(["x-check", "done"]);
};

describe.each(matrix)("HTTP/$version over $way", ({ version, way }) => {
  test("carries fields, bodies and trailers both ways", async () => {
    let trailers: readonly string[] = [];
    let seen: ServerExchange | undefined;
    await using server = await startServer({
      handler: async (exchange) => {
        seen = exchange;
        await echo(exchange);
        trailers = exchange.requestTrailers();
      },
    });
    const headers = { "x-latin": "caf\u00e9", ...(version === "1.1" ? { trailer: "x-sum" } : {}) };
    using call = startCall(server, version, { way, path: "/a%2Fb?q=%20", headers });
    if ("addTrailers" in call.request) call.request.addTrailers({ "x-sum": "7" });
    call.request.write("hello ");
    call.request.end("world");
    const answer = await call.answer();
    expect(answer).toMatchObject({ status: 200, text: "hello world", trailers: { "x-check": "done" } });
    expect(answer.headers["set-cookie"]).toEqual(["a=1", "b=2"]);
    expect(seen?.head).toMatchObject({ method: "POST", target: "/a%2Fb?q=%20", httpVersion: version });
    expect(seen?.head.header("x-latin")).toBe("caf\u00e9");
    expect(seen?.head.connection.transport).toBe(way);
    expect(seen?.ended).toEqual({ kind: "completed" });
    if (version === "1.1") expect(trailers).toEqual(["x-sum", "7"]);
  });

  test.each([
    { status: 200, method: "HEAD", why: "HEAD" },
    { status: 204, method: "POST", why: "204" },
    { status: 304, method: "POST", why: "304" },
  ])("an answer without a body stays without one, whatever the handler writes ($why)", async ({ status, method }) => {
    const { handler, next } = capture();
    await using server = await startServer({ handler });
    using call = startCall(server, version, { way, method });
    call.request.end();
    const exchange = await next();
    exchange.respond(status, ["x-kind", "empty"]);
    expect(exchange.response.write("nobody should see this")).toBe(true);
    exchange.end(["x-late", "1"]);
    expect(await call.answer()).toMatchObject({ status, text: "", headers: { "x-kind": "empty" } });
    expect(await ended(exchange)).toEqual({ kind: "completed" });
  });

  test("an answer of only a head is complete", async () => {
    const { handler, next } = capture();
    await using server = await startServer({ handler });
    using call = startCall(server, version, { way });
    call.request.end();
    const exchange = await next();
    exchange.respond(201, ["x-only", "head"], true);
    expect(await call.answer()).toMatchObject({ status: 201, text: "", headers: { "x-only": "head" } });
    expect(await ended(exchange)).toEqual({ kind: "completed" });
  });

  test("the head reaches the caller before the handler writes anything", async () => {
    const { handler, next } = capture();
    await using server = await startServer({ handler });
    using call = startCall(server, version, { way });
    call.request.end();
    const exchange = await next();
    exchange.respond(200, []);
    expect((await within(1_000, "the head", call.head)).status).toBe(200);
    exchange.end();
  });

  test("an answer before the request is complete arrives whole, and the caller may send on to its end", async () => {
    const { handler, next } = capture();
    await using server = await startServer({ handler });
    using call = startCall(server, version, { way });
    call.request.write("x".repeat(64 * 1024));
    const exchange = await next();
    exchange.respond(400, []);
    exchange.response.write("no, thanks");
    exchange.end(["x-reason", "early"]);
    const answer = handled(call.answer());
    const block = Buffer.alloc(256 * 1024);
    for (let sent = 0; sent < 8; sent++) {
      await within(2_000, "writing on", written(call, block));
    }
    call.request.end();
    expect(await within(2_000, "the answer", answer)).toMatchObject({
      status: 400,
      text: "no, thanks",
      trailers: { "x-reason": "early" },
    });
    expect(await ended(exchange)).toEqual({ kind: "completed" });
    expect(server.server.openExchanges).toBe(0);
  });

  test("an early answer that is larger than all buffers reaches a caller that sends everything first", async () => {
    const big = Buffer.alloc(6 * 1024 * 1024, "y");
    await using server = await startServer({
      handler(exchange) {
        exchange.respond(200, []);
        exchange.response.write(big);
        exchange.end();
      },
    });
    using call = startCall(server, version, { way });
    const block = Buffer.alloc(512 * 1024);
    for (let sent = 0; sent < 12; sent++) {
      await within(2_000, "writing on", written(call, block));
    }
    call.request.end();
    expect((await within(5_000, "the answer", call.answer())).text.length).toBe(big.length);
  });

  test("a caller that never stops sending is cut off when the limit for dropped bytes is reached", async () => {
    const { handler, next } = capture();
    await using server = await startServer({ handler, limits: { dropMaxBytes: 100_000, dropTimeoutMs: 60_000 } });
    using call = startCall(server, version, { way });
    call.request.write("x");
    const exchange = await next();
    exchange.respond(400, ["content-length", "2"]);
    exchange.response.write("no");
    exchange.end();
    const { status, body } = await call.head;
    body.resume();
    const closed = new Promise((resolve) => call.request.once("close", resolve));
    const block = Buffer.alloc(64 * 1024);
    const timer = setInterval(() => {
      if (!call.request.destroyed && call.request.writable) call.request.write(block);
    }, 1);
    await within(3_000, "the cut", closed);
    clearInterval(timer);
    expect(status).toBe(400);
  });

  test("a caller that holds its request open is let go when the time for dropping is over", async () => {
    const { handler, next } = capture();
    await using server = await startServer({ handler, limits: { dropTimeoutMs: 50 } });
    using call = startCall(server, version, { way });
    call.request.write("x");
    const exchange = await next();
    exchange.respond(200, []);
    exchange.end();
    const closed = new Promise((resolve) => call.request.once("close", resolve));
    const answer = handled(call.answer());
    expect((await within(2_000, "the answer", answer)).status).toBe(200);
    await within(2_000, "the cut", closed);
  });

  test("a handler that dies half-way gives its caller an error and never a clean end", async () => {
    const { handler, next } = capture();
    await using server = await startServer({ handler });
    using call = startCall(server, version, { way });
    call.request.end("x");
    const exchange = await next();
    exchange.respond(200, []);
    exchange.response.write("half of it");
    const { status } = await call.head;
    const answer = handled(call.answer());
    exchange.abort();
    expect(status).toBe(200);
    await expect(within(2_000, "the error", answer)).rejects.toThrow(/cut off|aborted|ECONNRESET|INTERNAL_ERROR/);
    expect(exchange.ended).toEqual({ kind: "aborted" });
  });

  test("a handler that rejects before its answer gives 500, and after it a cut answer", async () => {
    const seen: ServerExchange[] = [];
    await using server = await startServer({
      handler: async (exchange) => {
        seen.push(exchange);
        if (exchange.head.target === "/late") {
          exchange.respond(200, []);
          exchange.response.write("x");
        }
        await Promise.resolve();
        throw new Error("the handler failed");
      },
    });
    using early = startCall(server, version, { way });
    early.request.end();
    expect((await early.answer()).status).toBe(500);
    using late = startCall(server, version, { way, path: "/late" });
    late.request.end();
    await expect(late.answer()).rejects.toThrow();
    expect(server.errors.map(String)).toEqual(["Error: the handler failed", "Error: the handler failed"]);
  });

  test("a caller that goes away is seen at once, also by a handler that neither reads nor writes", async () => {
    const { handler, next } = capture();
    await using server = await startServer({ handler });
    using call = startCall(server, version, { way });
    call.request.write("some of the body");
    const exchange = await next();
    const end = ended(exchange);
    call.leave();
    expect(await within(100, "seeing it", end)).toEqual({ kind: "caller-gone" });
    exchange.respond(200, []);
    exchange.response.write("nobody");
    exchange.end(["x", "y"]);
    exchange.abort();
    exchange.informational(103, ["link", "</x>; rel=preload"]);
    expect(exchange.ended).toEqual({ kind: "caller-gone" });
    expect(server.server.openExchanges).toBe(0);
  });

  test("a caller that goes away in the middle of the answer is seen at once", async () => {
    const { handler, next } = capture();
    await using server = await startServer({ handler });
    using call = startCall(server, version, { way });
    call.request.end();
    const exchange = await next();
    exchange.respond(200, []);
    exchange.response.write("begin");
    await call.head;
    call.leave();
    expect(await within(100, "seeing it", ended(exchange))).toEqual({ kind: "caller-gone" });
  });

  test("a caller that stops reading holds the handler up instead of filling memory", async () => {
    const { handler, next } = capture();
    await using server = await startServer({ handler });
    using call = startCall(server, version, { way });
    call.request.end();
    const exchange = await next();
    exchange.respond(200, []);
    (await call.head).body.pause();
    const block = Buffer.alloc(64 * 1024);
    let taken = 0;
    let idle = 0;
    // The pause of the caller has reached us when a write is not taken for many turns of the event loop.
    while (idle < 50 && taken < 400) {
      if (exchange.response.writableNeedDrain) idle += 1;
      else {
        idle = 0;
        taken += 1;
        exchange.response.write(block);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(taken).toBeLessThan(400);
    const drained = once(exchange.response, "drain");
    (await call.head).body.resume();
    await within(2_000, "going on", drained);
  });

  test("100 Continue goes out when the body is first read", async () => {
    const { handler, next } = capture();
    await using server = await startServer({ handler });
    using call = startCall(server, version, { way, headers: { expect: "100-continue" } });
    let continued = false;
    call.request.once("continue", () => {
      continued = true;
    });
    if ("flushHeaders" in call.request) call.request.flushHeaders();
    const exchange = await next();
    await new Promise((resolve) => setImmediate(resolve));
    expect(continued).toBe(false);
    const asked = once(call.request, "continue");
    const body = (async () => {
      let text = "";
      for await (const chunk of exchange.body) text += String(chunk);
      return text;
    })();
    await within(1_000, "100", asked);
    call.request.end("now");
    expect(await body).toBe("now");
    exchange.respond(200, [], true);
    expect((await call.answer()).status).toBe(200);
  });

  test("no 100 Continue is sent if the handler answers without reading", async () => {
    await using server = await startServer({ handler: (exchange) => exchange.respond(413, [], true) });
    using call = startCall(server, version, { way, headers: { expect: "100-continue" } });
    let continued = false;
    call.request.once("continue", () => {
      continued = true;
    });
    if ("flushHeaders" in call.request) call.request.flushHeaders();
    expect((await within(1_000, "the answer", call.head)).status).toBe(413);
    expect(continued).toBe(false);
  });

  test("any other expectation is refused with 417", async () => {
    await using server = await startServer({ handler: echo });
    using call = startCall(server, version, { way, headers: { expect: "a-miracle" } });
    call.request.end();
    expect((await call.answer()).status).toBe(417);
  });

  test("sends 102 and 103 before the answer", async () => {
    const { handler, next } = capture();
    await using server = await startServer({ handler });
    using call = startCall(server, version, { way });
    const statuses: number[] = [];
    call.request.on("information", (info: { statusCode: number }) => statuses.push(info.statusCode));
    call.request.on("headers", (fields: { ":status": number }) => statuses.push(fields[":status"]));
    call.request.end();
    const exchange = await next();
    exchange.informational(102, []);
    exchange.informational(103, ["link", "</style.css>; rel=preload", "x-hint", "a"]);
    exchange.informational(103, ["x-without", "link"]);
    exchange.informational(110, []);
    exchange.respond(200, [], true);
    await call.answer();
    expect(statuses).toEqual([102, 103, 103, 110]);
  });

  test("sends 1xx answers with all their fields, and none that could be taken for something else", async () => {
    const { handler, next } = capture();
    await using server = await startServer({ handler });
    using call = startCall(server, version, { way });
    const seen: unknown[] = [];
    const note = (status: number, { link, "x-a": a, "content-length": length }: Record<string, unknown>) =>
      seen.push([status, link, a, length]);
    call.request.on("information", (info: { statusCode: number; headers: Record<string, unknown> }) =>
      note(info.statusCode, info.headers),
    );
    call.request.on("headers", (fields: Record<string, unknown>) => note(fields[":status"] as number, fields));
    call.request.end();
    const exchange = await next();
    exchange.informational(103, ["link", "</a>; rel=preload", "link", "</b>; rel=preload; as=style"]);
    exchange.informational(103, ["link", "</a>; rel=preload, </b>; rel=preload", "x-a", "1", "content-length", "5"]);
    for (const status of [99, 100, 101, 200, 103.5]) exchange.informational(status, []);
    exchange.informational(103, ["x-a", "a\r\nb"]);
    exchange.informational(199, ["x-a", "2"]);
    exchange.respond(200, [], true);
    exchange.informational(103, []);
    expect((await call.answer()).status).toBe(200);
    expect(seen).toEqual([
      [103, "</a>; rel=preload, </b>; rel=preload; as=style", undefined, undefined],
      [103, "</a>; rel=preload, </b>; rel=preload", "1", undefined],
      [199, undefined, "2", undefined],
    ]);
  });

  test.each([
    {
      what: "fewer bytes than announced",
      write: (exchange: ServerExchange) => void exchange.write(Buffer.from("abc")),
    },
    { what: "no byte of those announced", write: () => {} },
    {
      what: "more bytes than announced",
      write: (exchange: ServerExchange) => void exchange.write(Buffer.from("abcdefgh")),
    },
    { what: "fewer, past the exchange", write: (exchange: ServerExchange) => void exchange.response.write("abc") },
  ])("an answer of $what is cut off and never looks complete", async ({ write }) => {
    const { handler, next } = capture();
    await using server = await startServer({ handler });
    using call = startCall(server, version, { way });
    call.request.end();
    const exchange = await next();
    exchange.respond(200, ["content-length", "5"]);
    write(exchange);
    exchange.end();
    await expect(within(1_000, "the answer", call.answer())).rejects.toThrow();
    expect(exchange.ended).toEqual({ kind: "aborted" });
    expect(server.errors).toEqual([]);
  });

  test("an answer of the announced length is complete, however it was written", async () => {
    const { handler, next } = capture();
    await using server = await startServer({ handler });
    using call = startCall(server, version, { way });
    call.request.end();
    const exchange = await next();
    exchange.respond(200, ["content-length", "6"]);
    exchange.write(Buffer.from("a"));
    exchange.response.write("\u00e9", "utf8");
    exchange.write(Buffer.from("b"));
    exchange.response.write("cd");
    exchange.end();
    expect((await call.answer()).text).toBe("a\u00c3\u00a9bcd");
  });

  test("fields of the connection that a handler passes on do no harm", async () => {
    const { handler, next } = capture();
    await using server = await startServer({ handler });
    using call = startCall(server, version, { way });
    call.request.end();
    const exchange = await next();
    const list =
      version === "2"
        ? ["keep-alive", "a=1", "transfer-encoding", "chunked", "proxy-connection", "x", "te", "gzip"]
        : [];
    exchange.respond(200, ["connection", "close", ...list, "x-kept", "1"]);
    exchange.response.write("ok");
    exchange.end();
    expect(await call.answer()).toMatchObject({ status: 200, text: "ok", headers: { "x-kept": "1" } });
  });
});

test("requests one after the other on one HTTP/1.1 connection survive an early answer", async () => {
  await using server = await startServer({ handler: (exchange) => exchange.respond(400, [], true) });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const answers: Answer[] = [];
  for (let round = 0; round < 3; round++) {
    using call = startCall(server, "1.1", { agent });
    call.request.end(Buffer.alloc(300_000));
    answers.push(await within(2_000, "the answer", call.answer()));
  }
  expect(answers.map(({ status }) => status)).toEqual([400, 400, 400]);
  agent.destroy();
});

test("a request that is announced to be larger than what we drop is answered with connection: close, whole", async () => {
  await using server = await startServer({
    handler(exchange) {
      exchange.respond(413, ["content-length", "200000"]);
      exchange.response.write("z".repeat(200_000));
      exchange.end();
    },
    limits: { dropMaxBytes: 1_000_000 },
  });
  using call = startCall(server, "1.1", { headers: { "content-length": "100000000" } });
  const answer = handled(call.answer());
  call.request.write(Buffer.alloc(700_000));
  const { headers, text } = await within(3_000, "the answer", answer);
  expect(headers.connection).toBe("close");
  expect(text.length).toBe(200_000);
});

test("a caller over HTTP/1.1 that sends more than is dropped before it reads has its early answer", async () => {
  const { handler, next } = capture();
  await using server = await startServer({ handler, limits: { dropMaxBytes: 100_000, dropTimeoutMs: 60_000 } });
  const caller = net.connect(server.port, "127.0.0.1").setEncoding("latin1");
  caller.on("error", () => {});
  const sent = 8 * 1024 * 1024;
  caller.write(`POST / HTTP/1.1\r\nhost: h\r\ncontent-length: ${2 * sent}\r\n\r\n`);
  caller.write(Buffer.alloc(sent));
  const exchange = (await next()) as Http1Exchange;
  exchange.respond(400, ["content-length", "2"]);
  exchange.response.write("no");
  exchange.end();
  const { socket } = exchange.raw.req;
  while (socket.bytesRead <= 110_000) await new Promise((resolve) => setImmediate(resolve));
  let text = "";
  caller.on("data", (more: string) => {
    text += more;
    if (text.endsWith("no")) caller.destroy();
  });
  await within(3_000, "the end", once(caller, "close"));
  expect(text).toMatch(/^HTTP\/1\.1 400 [\s\S]*no$/);
});

test("many streams with early answers leave their HTTP/2 session usable", async () => {
  await using server = await startServer({ handler: (exchange) => exchange.respond(400, [], true) });
  const session = connectHttp2(server);
  for (let round = 0; round < 40; round++) {
    const call = callOn(session, { ":method": "POST", ":path": "/" });
    call.request.end(Buffer.alloc(700_000));
    expect((await within(3_000, `answer ${round}`, call.answer())).status).toBe(400);
  }
  session.destroy();
});

test("over HTTP/2 the answer's trailers arrive also when the rest of the request is refused at once", async () => {
  const { handler, next } = capture();
  await using server = await startServer({ handler, limits: { dropMaxBytes: 10 } });
  using call = startCall(server, "2");
  call.request.write(Buffer.alloc(100_000));
  const exchange = await next();
  await once(exchange.body, "readable");
  exchange.respond(200, []);
  exchange.response.write("x".repeat(50_000));
  exchange.end(["grpc-status", "0"]);
  const answer = await within(2_000, "the answer", call.answer());
  expect(answer.text.length).toBe(50_000);
  expect(answer.trailers).toMatchObject({ "grpc-status": "0" });
});

test("over HTTP/2 a caller whose whole connection ends is gone, though it never reset its stream", async () => {
  const { handler, next } = capture();
  await using server = await startServer({ handler });
  const session = connectHttp2(server);
  const stream = session.request({ ":method": "POST", ":path": "/" });
  stream.on("error", () => {});
  stream.write("some of the body");
  const exchange = await next();
  session.destroy();
  expect(await within(200, "seeing it", ended(exchange))).toEqual({ kind: "caller-gone" });
  expect(server.server.openExchanges).toBe(0);
});

test("over HTTP/2 a caller that resets its stream without an error is gone too, though its body is not read", async () => {
  const { handler, next } = capture();
  await using server = await startServer({ handler });
  using call = startCall(server, "2");
  call.request.write(Buffer.alloc(200_000));
  const exchange = await next();
  await once(exchange.body, "readable");
  exchange.body.read(10);
  (call.request as ClientHttp2Stream).close(constants.NGHTTP2_NO_ERROR);
  expect(await within(200, "seeing it", ended(exchange))).toEqual({ kind: "caller-gone" });
});
