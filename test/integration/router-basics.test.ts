import { once } from "node:events";
import http from "node:http";
import type { ServerHttp2Stream } from "node:http2";
import net from "node:net";
import { describe, expect, test } from "vitest";
import { startCall, type Version, within } from "../support/http-server.js";
import {
  pluginRecord,
  registrationRecord,
  startHttp1Provider,
  startHttp2Provider,
  startRawProvider,
  startRouter,
  type TestProvider,
} from "../support/router-host.js";

type Echo = (options?: { status?: number }) => Promise<TestProvider>;

/** Answers with what it got, as JSON, and with its own trailers. */
const echoHttp1: Echo = () =>
  startHttp1Provider((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const seen = { path: request.url, method: request.method, headers: request.headers, trailers: request.trailers };
      const announced = request.method === "HEAD" ? {} : { trailer: "x-sum" };
      response.writeHead(200, { "content-type": "text/plain", ...announced, "x-seen": JSON.stringify(seen) });
      response.write(Buffer.concat(chunks));
      response.addTrailers({ "x-sum": "7" });
      response.end();
    });
  });

const echoHttp2: Echo = () =>
  startHttp2Provider((stream, headers) => {
    const chunks: Buffer[] = [];
    let trailers = {};
    stream.on("trailers", (fields) => {
      trailers = { ...fields };
    });
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", () => {
      const seen = { path: headers[":path"], method: headers[":method"], headers: { ...headers }, trailers };
      stream.respond(
        { ":status": 200, "content-type": "text/plain", "x-seen": JSON.stringify(seen) },
        { waitForTrailers: true },
      );
      stream.on("wantTrailers", () => stream.sendTrailers({ "x-sum": "7" }));
      stream.end(Buffer.concat(chunks));
    });
  });

const versions: Version[] = ["1.1", "2"];
const providers = [
  { name: "HTTP/1.1", start: echoHttp1, protocols: ["h1"] as const },
  { name: "HTTP/2", start: echoHttp2, protocols: ["h2c"] as const },
];

describe.each(versions)("a caller over HTTP/%s", (version) => {
  describe.each(providers)("a provider over $name", ({ start, protocols }) => {
    test("gets its call through with body, trailers, identity and path", async () => {
      await using provider = await start();
      await using host = await startRouter();
      host.view.add(
        pluginRecord({ address: provider.address(protocols) }),
        registrationRecord({ path: "/logger.v1.Logger/" }),
      );
      using call = startCall(host, version, {
        path: "/services/logger/logger-1/Log?a=%20b",
        headers: {
          authorization: "Bearer secret",
          "x-plugin-runtime-id": "app-1",
          "x-forwarded-for": "6.6.6.6",
          trailer: "x-check",
        },
      });
      call.request.write("hello ");
      if ("addTrailers" in call.request) call.request.addTrailers({ "x-check": "1" });
      call.request.end("world");
      const answer = await within(2_000, "the call", call.answer());
      expect(answer.text).toBe("hello world");
      expect(answer.trailers["x-sum"]).toBe("7");
      const seen = JSON.parse(answer.headers["x-seen"] as string);
      expect(seen.path).toBe("/logger.v1.Logger/Log?a=%20b");
      expect(seen.headers.authorization).toBeUndefined();
      expect(seen.headers["x-plugin-runtime-id"]).toBeUndefined();
      expect(seen.headers["x-plugin-caller-id"]).toBe("app-1");
      expect(seen.headers["x-plugin-caller-self-id"]).toBe("app");
      expect(seen.headers["x-plugin-service"]).toBe("logger");
      expect(seen.headers["x-forwarded-for"]).toBe("127.0.0.1");
      expect(seen.headers.host ?? seen.headers[":authority"]).toBe(`127.0.0.1:${provider.port}`);
      if (version === "1.1") expect(seen.trailers["x-check"]).toBe("1");
      const event = await host.event();
      expect(event).toMatchObject({
        caller: { kind: "plugin", runtimeId: "app-1" },
        provider: { runtimeId: "logger-1", selfId: "logger" },
        serviceType: "logger",
        method: "/logger.v1.Logger/Log",
        httpVersion: version,
        status: 200,
        code: "ok",
        outcome: "completed",
        requestBytes: 11,
        responseBytes: 11,
        traceparent: seen.headers.traceparent,
      });
      expect(host.events).toHaveLength(1);
      expect(host.view.providers[0]?.inFlight.count).toBe(0);
      expect(host.view.answers).toEqual(["logger-1"]);
      expect(host.view.dependencies).toEqual(["logger"]);
      expect(host.errors).toEqual([]);
    });

    test("gets an empty answer to a request without a body, over a connection that is used again", async () => {
      await using provider = await start();
      await using host = await startRouter();
      host.view.add(pluginRecord({ address: provider.address(protocols) }));
      const warnings: Error[] = [];
      const warn = (warning: Error): void => void warnings.push(warning);
      process.on("warning", warn);
      // More calls than a socket may have listeners before Node suspects a leak.
      for (let i = 1; i <= 15; i++) {
        using call = startCall(host, version, { method: "GET", path: "/services/logger/any/x" });
        call.request.end();
        expect((await within(2_000, "the call", call.answer())).text).toBe("");
        await host.event(i);
      }
      expect(provider.connections()).toBe(1);
      await new Promise(setImmediate);
      process.off("warning", warn);
      expect(warnings).toEqual([]);
    });

    test("gets no body to HEAD", async () => {
      await using provider = await start();
      await using host = await startRouter();
      host.view.add(pluginRecord({ address: provider.address(protocols) }));
      using call = startCall(host, version, { method: "HEAD", path: "/services/logger/any/x" });
      call.request.end();
      const answer = await within(2_000, "the call", call.answer());
      expect(answer.status).toBe(200);
      expect(answer.text).toBe("");
      expect((await host.event()).outcome).toBe("completed");
    });

    test("can send heads of ten thousand bytes in a hundred fields and get them back", async () => {
      await using provider = await start();
      await using host = await startRouter();
      host.view.add(pluginRecord({ address: provider.address(protocols) }));
      const headers: Record<string, string> = { "x-long": "y".repeat(10_001) };
      for (let i = 0; i < 100; i++) headers[`x-field-${i}`] = String(i);
      using call = startCall(host, version, { method: "GET", path: "/services/logger/any/x", headers });
      call.request.end();
      const answer = await within(2_000, "the call", call.answer());
      const seen = JSON.parse(answer.headers["x-seen"] as string);
      expect(seen.headers["x-long"]).toHaveLength(10_001);
      expect(seen.headers["x-field-99"]).toBe("99");
    });
  });

  test("is refused in its protocol, and its next call is served", async () => {
    await using provider = await echoHttp1();
    await using host = await startRouter();
    host.view.add(pluginRecord({ address: provider.address(["h1"]) }));
    using bad = startCall(host, version, {
      path: "/services/logger/nobody/x",
      headers: { "content-type": "application/json" },
    });
    bad.request.end("{}");
    const refused = await within(2_000, "the refusal", bad.answer());
    expect(refused.status).toBe(404);
    expect(JSON.parse(refused.text)).toMatchObject({ code: "not_found" });
    expect(await host.event()).toMatchObject({ outcome: "refused", code: "not_found", status: 404 });
    using good = startCall(host, version, { path: "/services/logger/any/x" });
    good.request.end("ok");
    expect((await good.answer()).text).toBe("ok");
  });

  test("finds out by itself that a provider speaks HTTP/2 or only HTTP/1.1", async () => {
    await using one = await echoHttp1();
    await using two = await echoHttp2();
    await using host = await startRouter();
    host.view.add(pluginRecord({ runtimeId: "one", address: one.address() }));
    if (version === "2") host.view.add(pluginRecord({ runtimeId: "two", address: two.address() }));
    for (const { plugin } of host.view.providers) {
      for (let i = 0; i < 2; i++) {
        using call = startCall(host, version, { path: `/services/logger/${plugin.runtimeId}/x` });
        call.request.end("hi");
        expect((await within(2_000, "the call", call.answer())).text).toBe("hi");
      }
    }
    expect(host.view.failures).toEqual([]);
  });

  test("reaches a provider on a Unix socket and one in memory", async () => {
    const { createOnePortServer } = await import("../../src/http/one-port-server.js");
    const { connectInMemory } = await import("../../src/http/memory-connection.js");
    const server = createOnePortServer({
      handler: (exchange) => {
        exchange.respond(200, ["x-version", exchange.head.httpVersion]);
        exchange.body.on("data", (chunk) => exchange.response.write(chunk));
        exchange.body.on("end", () => exchange.end());
      },
    });
    const path = `/tmp/router-basics-${process.pid}-${version}.sock`;
    await server.listen({ path });
    await using host = await startRouter();
    host.view.add(pluginRecord({ runtimeId: "unix", address: { kind: "unix", path, protocols: undefined } }));
    const connect = () => {
      const [mine, its] = connectInMemory();
      server.accept(its, { transport: "memory" });
      return mine;
    };
    host.view.add(pluginRecord({ runtimeId: "memory", address: { kind: "module", id: "m", connect } }));
    try {
      for (const { plugin } of host.view.providers) {
        for (let i = 0; i < 2; i++) {
          using call = startCall(host, version, { path: `/services/logger/${plugin.runtimeId}/x` });
          call.request.end("hi");
          const answer = await within(2_000, "the call", call.answer());
          expect(answer.text).toBe("hi");
          expect(answer.headers["x-version"]).toBe(plugin.runtimeId === "memory" ? "1.1" : version);
        }
      }
    } finally {
      host.router.close();
      await server.close({ graceMs: 0 });
    }
  });

  test("sees 103 and 102 before the answer, and a redirect as it is", async () => {
    await using provider = await startHttp1Provider((_request, response) => {
      response.writeProcessing();
      response.writeEarlyHints({ link: "</style.css>; rel=preload" });
      response.writeHead(302, { location: "/elsewhere" });
      response.end();
    });
    await using host = await startRouter();
    host.view.add(pluginRecord({ address: provider.address(["h1"]) }));
    using call = startCall(host, version, { method: "GET", path: "/services/logger/any/x" });
    const hints: unknown[] = [];
    if (version === "2") call.request.on("headers", (fields: Record<string, unknown>) => hints.push(fields[":status"]));
    else call.request.on("information", (info: http.InformationEvent) => hints.push(info.statusCode));
    call.request.end();
    const answer = await within(2_000, "the call", call.answer());
    expect(answer.status).toBe(302);
    expect(answer.headers.location).toBe("/elsewhere");
    expect(hints).toEqual([102, 103]);
  });

  test("gets an answer to HEAD that announces trailers and a length", async () => {
    await using provider = await startRawProvider((socket) => {
      socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\nTrailer: x-sum\r\nContent-Length: 5\r\n\r\n"));
    });
    await using host = await startRouter();
    host.view.add(pluginRecord({ address: provider.address(["h1"]) }));
    using call = startCall(host, version, { method: "HEAD", path: "/services/logger/any/x" });
    call.request.end();
    const answer = await within(2_000, "the call", call.answer());
    expect([answer.status, answer.headers["content-length"], answer.text]).toEqual([200, "5", ""]);
  });

  test("gets an answer whose end is the end of the connection", async () => {
    await using provider = await startRawProvider((socket) => {
      socket.once("data", () => socket.end("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nno length"));
    });
    await using host = await startRouter();
    host.view.add(pluginRecord({ address: provider.address(["h1"]) }));
    using call = startCall(host, version, { method: "GET", path: "/services/logger/any/x" });
    call.request.end();
    expect((await within(2_000, "the call", call.answer())).text).toBe("no length");
  });

  test("is not harmed by a provider that repeats fields or answers nonsense", async () => {
    await using twice = await startRawProvider((socket) => {
      socket.once("data", () =>
        socket.end("HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 1\r\n\r\nx"),
      );
    });
    await using nonsense = await startRawProvider((socket) => {
      socket.once("data", () => socket.end("what?\r\n\r\n"));
    });
    await using host = await startRouter();
    host.view.add(pluginRecord({ runtimeId: "twice", address: twice.address(["h1"]) }));
    host.view.add(pluginRecord({ runtimeId: "nonsense", address: nonsense.address(["h1"]) }));
    using first = startCall(host, version, { method: "GET", path: "/services/logger/twice/x" });
    first.request.end();
    expect((await within(2_000, "the call", first.answer())).text).toBe("x");
    using second = startCall(host, version, { method: "GET", path: "/services/logger/nonsense/x" });
    second.request.end();
    expect((await within(2_000, "the call", second.answer())).status).toBe(502);
    expect(host.errors).toEqual([]);
  });

  test("waits for a provider that has registered and opens its port only now", async () => {
    const reserved = net.createServer().listen(0, "127.0.0.1");
    await once(reserved, "listening");
    const { port } = reserved.address() as net.AddressInfo;
    reserved.close();
    await once(reserved, "close");
    await using host = await startRouter();
    const address = { kind: "http", url: `http://127.0.0.1:${port}`, protocols: undefined } as const;
    host.view.add(pluginRecord({ address, startedAt: Date.now() }));
    using call = startCall(host, version, { path: "/services/logger/logger-1/x" });
    call.request.end("patience");
    const late = http.createServer((request, response) => void request.pipe(response));
    setTimeout(() => late.listen(port, "127.0.0.1"), 60);
    try {
      expect((await within(4_000, "the call", call.answer())).text).toBe("patience");
      expect(host.view.failures).toEqual([]);
    } finally {
      late.closeAllConnections();
      late.close();
    }
  });

  test("gets 502 at once from a provider that is long up and refuses connections, and another one instead where any will do", async () => {
    await using provider = await echoHttp1();
    await using host = await startRouter();
    host.view.add(
      pluginRecord({ runtimeId: "dead", address: { kind: "http", url: "http://127.0.0.1:1", protocols: ["h1"] } }),
    );
    host.view.add(pluginRecord({ runtimeId: "alive", address: provider.address(["h1"]) }));
    using pinned = startCall(host, version, { path: "/services/logger/dead/x" });
    pinned.request.end("x");
    expect((await within(1_000, "the refusal", pinned.answer())).status).toBe(502);
    using any = startCall(host, version, { path: "/services/logger/any/x" });
    any.request.end("moved on");
    expect((await within(1_000, "the call", any.answer())).text).toBe("moved on");
    expect(await host.event(2)).toMatchObject({ provider: { runtimeId: "alive" }, outcome: "completed" });
    expect(host.view.failures).toHaveLength(2);
  });

  test("gets 413 for a body over the limit, announced or not", async () => {
    await using provider = await echoHttp1();
    await using host = await startRouter({ maxBodyBytes: 10 });
    host.view.add(pluginRecord({ address: provider.address(["h1"]) }));
    using announced = startCall(host, version, { path: "/services/logger/any/x", headers: { "content-length": "11" } });
    announced.request.end("x".repeat(11));
    expect((await within(1_000, "the refusal", announced.answer())).status).toBe(413);
    using streamed = startCall(host, version, { path: "/services/logger/any/x" });
    streamed.request.write("x".repeat(10));
    streamed.request.end("x");
    expect((await within(1_000, "the refusal", streamed.answer())).status).toBe(413);
    expect(await host.event(2)).toMatchObject({ outcome: "refused", code: "resource_exhausted" });
  });

  test("gets 504 from a provider that is silent, and when its own deadline is over", async () => {
    await using provider = await startHttp1Provider(() => {});
    await using host = await startRouter({ headersTimeoutMs: 80 });
    host.view.add(pluginRecord({ address: provider.address(["h1"]) }));
    using silent = startCall(host, version, { path: "/services/logger/any/x" });
    silent.request.end("x");
    const answer = await within(1_000, "the refusal", silent.answer());
    expect([answer.status, JSON.parse(answer.text).code]).toEqual([504, "unavailable"]);
    using hasty = startCall(host, version, {
      path: "/services/logger/any/x",
      headers: { "content-type": "application/json", "connect-timeout-ms": "30" },
    });
    hasty.request.end("{}");
    const late = await within(1_000, "the refusal", hasty.answer());
    expect([late.status, JSON.parse(late.text).code]).toEqual([504, "deadline_exceeded"]);
    expect(host.view.failures).toHaveLength(1);
    expect(host.view.providers[0]?.inFlight.count).toBe(0);
  });

  test("gets unimplemented if it speaks gRPC and the provider only HTTP/1.1", async () => {
    if (version === "1.1") return;
    await using provider = await echoHttp1();
    await using host = await startRouter();
    host.view.add(pluginRecord({ address: provider.address() }));
    using call = startCall(host, version, {
      path: "/services/logger/any/x",
      headers: { "content-type": "application/grpc" },
    });
    call.request.end();
    await once(call.request as never as ServerHttp2Stream, "close");
    expect(await host.event()).toMatchObject({ code: "unimplemented", outcome: "refused", status: 200 });
  });

  test("may wait with its body until the provider asks for it", async () => {
    if (version === "2") return;
    let asked = false;
    const server = http.createServer();
    server.on("checkContinue", (request: http.IncomingMessage, response: http.ServerResponse) => {
      asked = true;
      response.writeContinue();
      request.pipe(response);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    await using host = await startRouter();
    const { port } = server.address() as net.AddressInfo;
    host.view.add(pluginRecord({ address: { kind: "http", url: `http://127.0.0.1:${port}`, protocols: ["h1"] } }));
    using call = startCall(host, version, { path: "/services/logger/any/x", headers: { expect: "100-continue" } });
    (call.request as http.ClientRequest).flushHeaders();
    await within(900, "the 100", once(call.request, "continue"));
    expect(asked).toBe(true);
    call.request.end("now");
    expect((await call.answer()).text).toBe("now");
    server.closeAllConnections();
    server.close();
  });
});
