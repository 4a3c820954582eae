import { once } from "node:events";
import http, { type IncomingMessage, type Server } from "node:http";
import http2, { type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import net, { type AddressInfo } from "node:net";
import express from "express";
import fastify from "fastify";
import { describe, expect, test } from "vitest";
import type { ExchangeEnd, ExchangeHandler } from "../../src/http/exchange.js";
import { fetchHandler } from "../../src/http/fetch-handler.js";
import { mountedExchange } from "../../src/http/mounted-exchange.js";
import { nodeHandler } from "../../src/http/node-handler.js";
import { handled, startCall, startServer, type TestServer, within } from "../support/http-server.js";

const versions = ["1.1", "2"] as const;

describe.each(versions)("a fetch-style handler over HTTP/%s", (version) => {
  test("gets the request as it came and streams both ways", async () => {
    let seen = "";
    const handler = fetchHandler((request) => {
      seen = `${request.method} ${request.url} ${request.headers.get("x-a")}`;
      return new Response(request.body, {
        status: 201,
        headers: [
          ["set-cookie", "a=1"],
          ["set-cookie", "b=2"],
        ],
      });
    });
    await using server = await startServer({ handler });
    using call = startCall(server, version, { path: "/p%2Fq?x=1", headers: { "x-a": "1" } });
    call.request.write("first");
    const { body } = await call.head;
    body.on("error", () => {});
    const [chunk] = await once(body, "data");
    expect(String(chunk)).toBe("first");
    call.request.end(" last");
    const answer = await call.answer();
    expect(answer).toMatchObject({ status: 201, text: " last" });
    expect(answer.headers["set-cookie"]).toEqual(["a=1", "b=2"]);
    expect(seen).toBe(`POST http://127.0.0.1:${server.port}/p%2Fq?x=1 1`);
  });

  test("sees its signal aborted and its answer cancelled when the caller goes away", async () => {
    let aborted: () => void = () => {};
    const gone = new Promise<void>((resolve) => {
      aborted = resolve;
    });
    let cancelled: () => void = () => {};
    const stopped = new Promise<void>((resolve) => {
      cancelled = resolve;
    });
    const handler = fetchHandler((request) => {
      request.signal.addEventListener("abort", () => aborted());
      return new Response(new ReadableStream({ cancel: () => cancelled() }));
    });
    await using server = await startServer({ handler });
    using call = startCall(server, version);
    call.request.end();
    await call.head;
    call.leave();
    await within(200, "abort and cancel", Promise.all([gone, stopped]));
    expect(server.errors).toEqual([]);
  });

  test("that fails half-way gives a cut answer, and before it 500", async () => {
    const handler = fetchHandler((request) => {
      if (request.url.endsWith("/now")) throw new Error("now");
      let sent = false;
      return new Response(
        new ReadableStream({
          pull(controller) {
            if (sent) throw new Error("later");
            sent = true;
            controller.enqueue(new Uint8Array(10));
          },
        }),
      );
    });
    await using server = await startServer({ handler });
    using now = startCall(server, version, { path: "/now", method: "GET" });
    now.request.end();
    expect((await now.answer()).status).toBe(500);
    using later = startCall(server, version, { method: "GET" });
    later.request.end();
    await expect(later.answer()).rejects.toThrow();
    expect(server.errors.map(String)).toEqual(["Error: now", "Error: later"]);
  });

  test("may answer without a body, and HEAD", async () => {
    const handler = fetchHandler((request) =>
      request.method === "HEAD" ? new Response("dropped") : new Response(null, { status: 204 }),
    );
    await using server = await startServer({ handler });
    for (const [method, status] of [
      ["HEAD", 200],
      ["DELETE", 204],
    ] as const) {
      using call = startCall(server, version, { method });
      call.request.end();
      expect(await call.answer()).toMatchObject({ status, text: "" });
    }
  });

  test.each(["[", "a b", "a@b", "x/y", "a:99999999"])("Host %j does no harm", async (name) => {
    let url = "";
    const handler = fetchHandler((request) => {
      url = request.url;
      return new Response("ok");
    });
    await using server = await startServer({ handler });
    const key = version === "2" ? ":authority" : "host";
    using call = startCall(server, version, { path: "/p", method: "GET", headers: { [key]: name } });
    call.request.end();
    const answer = await handled(call.answer()).catch(() => undefined);
    // What is no host at all is refused before the handler; what only reads like one does not harm it.
    if (answer === undefined) expect(version).toBe("2");
    else if (answer.status === 400) expect([url, name]).toEqual(["", expect.stringMatching(/[ @/]/)]);
    else expect([answer.status, url]).toEqual([200, "http://host.invalid/p"]);
  });
});

describe.each(versions)("a handler for node:http over HTTP/%s", (version) => {
  test("reads and answers as it is used to, and its exchange knows how it ended", async () => {
    const ends: Promise<ExchangeEnd>[] = [];
    const own = nodeHandler(async (req, res) => {
      let text = "";
      for await (const chunk of req) text += chunk;
      res.setHeader("x-node", req.url ?? "");
      res.statusCode = 202;
      res.end(text);
    });
    const handler: ExchangeHandler = (exchange) => {
      ends.push(new Promise((resolve) => exchange.onEnd(resolve)));
      return own(exchange);
    };
    await using server = await startServer({ handler });
    using call = startCall(server, version, { path: "/n" });
    call.request.end("hello");
    expect(await call.answer()).toMatchObject({ status: 202, text: "hello", headers: { "x-node": "/n" } });
    expect(await ends[0]).toEqual({ kind: "completed" });
    expect(server.server.openExchanges).toBe(0);
  });

  test("may answer without reading a large request", async () => {
    await using server = await startServer({ handler: nodeHandler((_req, res) => res.writeHead(413).end("no")) });
    using call = startCall(server, version);
    const answer = handled(call.answer());
    call.request.end(Buffer.alloc(200_000));
    expect(await within(1_000, "the answer", answer)).toMatchObject({ status: 413, text: "no" });
  });

  test("that rejects gives 500", async () => {
    const handler = nodeHandler(() => Promise.reject(new Error("no")));
    await using server = await startServer({ handler });
    using call = startCall(server, version, { method: "GET" });
    call.request.end();
    expect((await call.answer()).status).toBe(500);
  });
});

const echo: ExchangeHandler = async (exchange) => {
  const chunks: Buffer[] = [];
  for await (const chunk of exchange.body) chunks.push(chunk as Buffer);
  exchange.respond(200, ["content-type", "text/x-echo", "set-cookie", "a=1", "set-cookie", "b=2"]);
  exchange.response.write(`${exchange.head.target} ${Buffer.concat(chunks)}`);
  exchange.end(["x-end", "1"]);
};

/** The part of a test server that calls need, for a server that is not ours. */
const reach = (server: Server | http2.Http2Server): TestServer => {
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    connect: () => net.connect(port, "127.0.0.1"),
  } as unknown as TestServer;
};

async function check(server: Server | http2.Http2Server, version: "1.1" | "2", path: string): Promise<void> {
  using call = startCall(reach(server), version, { path });
  call.request.end("hello");
  const answer = await call.answer();
  expect(answer).toMatchObject({ status: 200, text: "/x?y=1 hello", trailers: { "x-end": "1" } });
  expect(answer.headers["content-type"]).toBe("text/x-echo");
  expect(answer.headers["set-cookie"]).toEqual(["a=1", "b=2"]);
}

describe("mounted in a server of somebody else", () => {
  test("node:http", async () => {
    const server = http.createServer((req, res) => void echo(mountedExchange(req, res)));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    await check(server, "1.1", "/x?y=1");
    server.close();
  });

  test("node:http2 with its compatibility objects", async () => {
    const server = http2.createServer(
      (req: Http2ServerRequest, res: Http2ServerResponse) => void echo(mountedExchange(req, res)),
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    await check(server, "2", "/x?y=1");
    server.close();
  });

  test("Express, under a path of its own", async () => {
    const app = express();
    app.use("/mounted", (req, res) => void echo(mountedExchange(req as IncomingMessage, res)));
    const server = app.listen(0, "127.0.0.1");
    await once(server, "listening");
    await check(server, "1.1", "/mounted/x?y=1");
    server.close();
  });

  test("Fastify, with its reply hijacked", async () => {
    const app = fastify();
    app.removeAllContentTypeParsers();
    app.addContentTypeParser("*", (_request, _payload, done) => done(null));
    app.all("/*", (request, reply) => {
      reply.hijack();
      void echo(mountedExchange(request.raw, reply.raw));
    });
    await app.listen({ port: 0, host: "127.0.0.1" });
    await check(app.server, "1.1", "/x?y=1");
    await app.close();
  });
});
