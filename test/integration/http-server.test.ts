import { randomUUID } from "node:crypto";
import { once } from "node:events";
import type http2 from "node:http2";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { ExchangeHandler, ServerExchange } from "../../src/http/exchange.js";
import { connectInMemory } from "../../src/http/memory-connection.js";
import { createOnePortServer } from "../../src/http/one-port-server.js";
import {
  agentOf,
  callOn,
  connectHttp2,
  exchangeBytes,
  handled,
  startCall,
  startServer,
  within,
} from "../support/http-server.js";

const describeRequest: ExchangeHandler = (exchange) => {
  const { method, target, authority, httpVersion } = exchange.head;
  exchange.respond(200, ["content-type", "application/json"]);
  exchange.response.write(JSON.stringify({ method, target, authority, httpVersion }));
  exchange.end();
};

const host = "Host: a.example\r\n";
const last = `GET /last HTTP/1.1\r\n${host}Connection: close\r\n\r\n`;

describe("requests that no handler should see", () => {
  test.each([
    { request: "GET / HTTP/1.1\r\n\r\n", status: 400, why: "no Host" },
    { request: `GET / HTTP/1.1\r\n${host}Host: b\r\n\r\n`, status: 400, why: "two Hosts" },
    { request: `GET http://a.example/x HTTP/1.1\r\n${host}\r\n`, status: 400, why: "absolute form" },
    { request: `GET /a#b HTTP/1.1\r\n${host}\r\n`, status: 400, why: "fragment" },
    { request: `GET * HTTP/1.1\r\n${host}\r\n`, status: 400, why: "asterisk" },
    { request: `GET /caf\u00e9 HTTP/1.1\r\n${host}\r\n`, status: 400, why: "raw bytes" },
    { request: `TRACE / HTTP/1.1\r\n${host}\r\n`, status: 501, why: "TRACE" },
    { request: `CONNECT a.example:80 HTTP/1.1\r\n${host}\r\n`, status: 501, why: "CONNECT" },
    { request: `GET / HTTP/9.9\r\n${host}\r\n`, status: 400, why: "unknown version" },
    { request: "nonsense\r\n\r\n", status: 400, why: "not HTTP" },
    { request: `GET / HTTP/1.1\r\n${host}X: ${"x".repeat(40_000)}\r\n\r\n`, status: 431, why: "head too large" },
    {
      request: `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc`,
      status: 400,
      why: "two lengths",
    },
    { request: "PRI * HTTP/2.0\r\n\r\nSM\r\nnonsense", status: undefined, why: "nearly the HTTP/2 preface" },
  ])("$why: $status and the connection is closed", async ({ request, status }) => {
    let handled = 0;
    await using server = await startServer({
      handler() {
        handled += 1;
      },
    });
    const answer = await within(4_000, "closing", exchangeBytes(server.connect("tcp"), request));
    if (status !== undefined) {
      expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
      expect(answer.toLowerCase()).toContain("connection: close");
    }
    expect(handled).toBe(0);
    expect(server.errors).toEqual([]);
    using next = startCall(server, "1.1");
    next.leave();
  });

  test.each([
    { headers: { ":method": "TRACE", ":path": "/" }, status: 501 },
    { headers: { ":method": "CONNECT", ":authority": "a.example:80" }, status: 501 },
    { headers: { ":method": "GET", ":path": "/a#b" }, status: 400 },
    { headers: { ":method": "GET", ":path": "/", ":authority": "a", host: "b" }, status: 400 },
  ])("over HTTP/2: $headers is refused with $status", async ({ headers, status }) => {
    await using server = await startServer({ handler: describeRequest });
    const session = connectHttp2(server);
    const request = session.request(headers as http2.OutgoingHttpHeaders, {
      endStream: headers[":method"] !== "CONNECT",
    });
    request.resume();
    const [fields] = await once(request, "response");
    expect(fields[":status"]).toBe(status);
    // After what is no request the caller has to connect again.
    if (status === 400) await within(5_000, "the end of the connection", once(session, "close"));
    const next = callOn(status === 400 ? connectHttp2(server) : session, { ":path": "/next", ":method": "GET" });
    expect((await next.answer()).status).toBe(200);
    session.destroy();
  });

  test.each(["[", "a b", "", "a@b:c", "x".repeat(1_000), "\u00ff"])("Host %j does no harm", async (name) => {
    await using server = await startServer({ handler: describeRequest });
    const request = `GET /x HTTP/1.1\r\nHost: ${name}\r\nConnection: close\r\n\r\n`;
    const answer = await exchangeBytes(server.connect("tcp"), request);
    expect(answer).toMatch(/^HTTP\/1.1 (200|400) /);
  });

  test("HTTP/1.0 without Host is served", async () => {
    await using server = await startServer({ handler: describeRequest });
    const answer = await exchangeBytes(server.connect("tcp"), "GET /old HTTP/1.0\r\n\r\n");
    expect(answer).toContain('"target":"/old","authority":"","httpVersion":"1.0"');
  });

  test("a broken body ends the exchange and answers 400 if nothing was said yet", async () => {
    let ended: (kind: string) => void = () => {};
    const end = new Promise<string>((resolve) => {
      ended = resolve;
    });
    await using server = await startServer({ handler: (exchange) => exchange.onEnd(({ kind }) => ended(kind)) });
    const request = `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\nzz\r\n`;
    expect(await exchangeBytes(server.connect("tcp"), request)).toMatch(/^HTTP\/1.1 400 /);
    expect(await within(1_000, "the end", end)).toBe("caller-gone");
  });
});

describe("one port for both versions", () => {
  test("requests that come byte by byte are served, whichever version they are", async () => {
    await using server = await startServer({ handler: describeRequest });
    const answer = await exchangeBytes(server.connect("tcp"), ...last);
    expect(answer).toContain('"target":"/last"');
    const socket = server.connect("tcp") as net.Socket;
    socket.setNoDelay(true);
    const settings = once(socket, "data");
    for (const byte of Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "latin1")) {
      await new Promise<unknown>((resolve) => socket.write(Buffer.of(byte), resolve));
    }
    const [frames] = (await within(2_000, "the first frame", settings)) as [Buffer];
    // The fourth byte of a frame is its type; a server begins with SETTINGS (RFC 9113, 3.4).
    expect(frames[3]).toBe(4);
    socket.destroy();
  });

  test("pipelined requests are answered in order", async () => {
    await using server = await startServer({ handler: describeRequest });
    const text = await exchangeBytes(
      server.connect("tcp"),
      `GET /1 HTTP/1.1\r\n${host}\r\nGET /2 HTTP/1.1\r\n${host}\r\n${last}`,
    );
    expect([...text.matchAll(/"target":"([^"]+)"/g)].map(([, target]) => target)).toEqual(["/1", "/2", "/last"]);
  });

  test("a pipelined request learns that its caller is gone", async () => {
    const ends: string[] = [];
    let done: () => void = () => {};
    const all = new Promise<void>((resolve) => {
      done = resolve;
    });
    let seen = 0;
    await using server = await startServer({
      handler(exchange) {
        seen += 1;
        exchange.body.resume();
        exchange.onEnd(({ kind }) => {
          ends.push(kind);
          if (ends.length === 2) done();
        });
        if (seen === 2) socket.destroy();
      },
    });
    const socket = server.connect("tcp");
    socket.write(`GET /1 HTTP/1.1\r\n${host}\r\nGET /2 HTTP/1.1\r\n${host}\r\n`);
    await within(1_000, "both ends", all);
    expect(ends).toEqual(["caller-gone", "caller-gone"]);
  });

  test("a connection that sends nothing, or half a preface, is closed in time", async () => {
    await using server = await startServer({ handler: describeRequest, limits: { firstByteTimeoutMs: 30 } });
    await within(
      2_000,
      "closing",
      Promise.all([exchangeBytes(server.connect("tcp")), exchangeBytes(server.connect("tcp"), "PRI * HTT")]),
    );
  });

  test("an upgrade to h2c is ignored and the request served, with or without a handler for upgrades", async () => {
    const refuse = () => {
      throw new Error("not for upgrades to h2c");
    };
    for (const onUpgrade of [undefined, refuse]) {
      await using server = await startServer({ handler: describeRequest, ...(onUpgrade && { onUpgrade }) });
      const upgrade = `/up HTTP/1.1\r\n${host}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n`;
      const targets = (text: string) => [...text.matchAll(/"target":"([^"]+)"/g)].map(([, target]) => target);
      const bodyless = await exchangeBytes(server.connect("tcp"), `GET ${upgrade}\r\n${last}`);
      expect(targets(bodyless)).toEqual(["/up", "/last"]);
      const request = `POST ${upgrade}Content-Length: 3\r\n\r\nabc`;
      const withBody = await exchangeBytes(server.connect("tcp"), request + last);
      // Newer versions of Node read nothing behind it; the connection ends then, and the caller knows.
      expect(targets(withBody)[0]).toBe("/up");
    }
  });

  test("other upgrades go to their handler with what is known of the connection", async () => {
    await using server = await startServer({
      handler: describeRequest,
      onUpgrade(req, socket, head, connection) {
        socket.end(`HTTP/1.1 101 Switching Protocols\r\n\r\n${req.url} ${head.toString()} ${connection.remoteAddress}`);
      },
    });
    const request = `GET /ws HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly`;
    expect(await exchangeBytes(server.connect("tcp"), request)).toMatch(
      /101 Switching Protocols\r\n\r\n\/ws early 127.0.0.1$/,
    );
  });

  test("an upgrade handler that throws costs its caller the connection and nobody else anything", async () => {
    await using server = await startServer({
      handler: describeRequest,
      onUpgrade() {
        throw new Error("no");
      },
    });
    const request = `GET /ws HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`;
    expect(await exchangeBytes(server.connect("tcp"), request)).toBe("");
    expect(server.errors).toHaveLength(1);
  });

  test("listens on a Unix socket, and says so to the handlers", async () => {
    const seen: ServerExchange[] = [];
    const server = createOnePortServer({
      handler(exchange) {
        seen.push(exchange);
        return describeRequest(exchange);
      },
    });
    const path = join(tmpdir(), `${randomUUID()}.sock`);
    await server.listen({ path });
    expect(server.address()).toBe(path);
    expect(await exchangeBytes(net.connect(path), last)).toContain("/last");
    expect(seen[0]?.head.connection).toMatchObject({ transport: "unix", remoteAddress: "" });
    await server.close();
  });

  test("rejects when the port is taken", async () => {
    await using server = await startServer({ handler: describeRequest });
    const second = createOnePortServer({ handler: describeRequest });
    await expect(second.listen({ port: server.port })).rejects.toMatchObject({ code: "EADDRINUSE" });
    await second.close();
  });

  test("tells handlers who is at the other end of a connection in memory", async () => {
    let principal: unknown;
    const server = createOnePortServer({
      handler(exchange) {
        principal = exchange.head.connection.principal;
        return describeRequest(exchange);
      },
    });
    const [mine, its] = connectInMemory();
    server.accept(its, { transport: "memory", principal: { kind: "host" } });
    await exchangeBytes(mine, last);
    expect(principal).toEqual({ kind: "host" });
    await server.close();
  });

  test("refuses a limit that makes no sense", () => {
    expect(() => createOnePortServer({ handler: describeRequest, limits: { dropTimeoutMs: -1 } })).toThrow(
      /limits.dropTimeoutMs/,
    );
  });
});

describe("closing", () => {
  test.each(["1.1", "2"] as const)("idle connections of HTTP/%s close at once", async (version) => {
    await using server = await startServer({ handler: describeRequest });
    const agent = agentOf(server);
    const session = connectHttp2(server);
    if (version === "2") await callOn(session, { ":method": "GET", ":path": "/" }).answer();
    else {
      using call = startCall(server, version, { agent, method: "GET" });
      call.request.end();
      await call.answer();
    }
    await within(300, "closing", server.server.close({ graceMs: 10_000 }));
    expect(server.server.openConnections).toBe(0);
    agent.destroy();
    session.destroy();
  });

  test.each([
    { version: "1.1", way: "tcp" },
    { version: "1.1", way: "memory" },
    { version: "2", way: "tcp" },
  ] as const)(
    "an exchange over HTTP/$version and $way may finish, and its connection closes then",
    async ({ version, way }) => {
      let finish: () => void = () => {};
      let begun: () => void = () => {};
      const started = new Promise<void>((resolve) => {
        begun = resolve;
      });
      await using server = await startServer({
        handler(exchange) {
          finish = () => {
            exchange.respond(200, []);
            exchange.response.write("whole");
            exchange.end();
          };
          begun();
        },
      });
      using call = startCall(server, version, { way, method: "GET" });
      call.request.end();
      await started;
      const closed = server.server.close({ graceMs: 10_000 });
      expect(server.server.openExchanges).toBe(1);
      const answer = handled(call.answer());
      finish();
      expect(await answer).toMatchObject({ status: 200, text: "whole" });
      await within(1_000, "closing", closed);
      expect(server.server.openConnections).toBe(0);
    },
  );

  test.each([
    { version: "1.1", way: "tcp" },
    { version: "1.1", way: "memory" },
    { version: "2", way: "tcp" },
  ] as const)(
    "an exchange over HTTP/$version and $way that does not finish is cut after the grace",
    async ({ version, way }) => {
      let begun: () => void = () => {};
      const started = new Promise<void>((resolve) => {
        begun = resolve;
      });
      await using server = await startServer({ handler: () => begun() });
      using call = startCall(server, version, { way, method: "GET" });
      call.request.end();
      await started;
      await within(1_000, "closing", server.server.close({ graceMs: 20 }));
      await expect(call.answer()).rejects.toThrow();
      expect(server.server.openExchanges).toBe(0);
    },
  );

  test("a closed server takes no connection, and closing again is the same promise's end", async () => {
    const server = createOnePortServer({ handler: describeRequest });
    await server.close();
    await server.close();
    const [mine, its] = connectInMemory();
    server.accept(its, { transport: "memory" });
    expect(await exchangeBytes(mine, last)).toBe("");
  });
});

test("a connection in memory that begins with HTTP/2 is refused, and nobody else is disturbed", async () => {
  await using server = await startServer({ handler: describeRequest });
  const text = await exchangeBytes(server.connect("memory"), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
  expect(text).toMatch(/^HTTP\/1\.1 400 /);
  expect(await exchangeBytes(server.connect("memory"), last)).toMatch(/^HTTP\/1\.1 200 /);
});
