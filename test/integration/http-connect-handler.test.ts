import {
  type Client,
  Code,
  ConnectError,
  createClient,
  createContextKey,
  createContextValues,
} from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { type ConnectHandler, connectHandler } from "../../src/http/connect-handler.js";
import type { ExchangeHandler } from "../../src/http/exchange.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import {
  agentOf,
  exchangeBytes,
  handled,
  startCall,
  startServer,
  type TestServer,
  type Way,
  within,
} from "../support/http-server.js";

const protocols = ["connect", "grpc", "grpc-web"] as const;
type Protocol = (typeof protocols)[number];
const matrix = protocols.flatMap((protocol) =>
  // Connect's gRPC client speaks HTTP/2 only.
  (protocol === "grpc" ? (["2"] as const) : (["1.1", "2"] as const)).flatMap((version) =>
    // Connections in memory carry HTTP/1.1 only.
    (version === "1.1" ? (["tcp", "memory"] as const) : (["tcp"] as const)).map((way) => ({ protocol, version, way })),
  ),
);

/** The handler as a server has it: what is no procedure is not found. */
const serve =
  (connect: ConnectHandler): ExchangeHandler =>
  async (exchange) => {
    if ((await connect.handle(exchange)) === false) exchange.respond(404, [], true);
  };

/** Ends of calls that the implementations below have seen. */
class Seen {
  readonly #waiting = new Map<string, (reason: unknown) => void>();
  readonly #come = new Map<string, unknown>();
  note(name: string, reason: unknown): void {
    this.#come.set(name, reason);
    this.#waiting.get(name)?.(reason);
  }
  next(name: string): Promise<unknown> {
    if (this.#come.has(name)) return Promise.resolve(this.#come.get(name));
    return new Promise((resolve) => this.#waiting.set(name, resolve));
  }
}

function echoHandler(seen: Seen): ConnectHandler {
  return connectHandler({
    routes: (router) =>
      router.service(Echo, {
        async say({ text }, context) {
          context.responseHeader.set("x-head", "h");
          context.responseTrailer.set("x-trail", "t");
          if (text === "fail") throw new ConnectError("as asked", Code.ResourceExhausted);
          if (text === "crash") throw new Error("secret");
          if (text === "wait") {
            seen.note("waiting", undefined);
            await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
            seen.note("aborted", context.signal.reason);
          }
          return { text };
        },
        async *serverStream({ text, count }, context) {
          context.responseTrailer.set("x-trail", "t");
          try {
            for (let index = 0; index < count; index++) {
              if (text === "die" && index === 2) throw new ConnectError("half-way", Code.DataLoss);
              seen.note("sent", index);
              yield { text, index };
            }
            if (text === "hold") await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
          } finally {
            seen.note("finally", context.signal.reason);
          }
        },
        async clientStream(requests) {
          let text = "";
          let count = 0;
          for await (const request of requests) {
            if (request.text === "enough") return { text: "early", count };
            text += request.text;
            count += 1;
          }
          return { text, count };
        },
        async *bidiStream(requests) {
          for await (const { text } of requests) {
            if (text === "enough") return;
            yield { text };
          }
        },
      }),
  });
}

function clientOf(
  server: TestServer,
  protocol: Protocol,
  httpVersion: "1.1" | "2",
  way: Way,
): Client<typeof Echo> & Disposable {
  const agent = agentOf(server, way);
  const sessions = new Http2SessionManager(server.url, {}, { createConnection: () => server.connect(way) });
  const make = { connect: createConnectTransport, grpc: createGrpcTransport, "grpc-web": createGrpcWebTransport }[
    protocol
  ];
  const transport =
    httpVersion === "2"
      ? make({ httpVersion, baseUrl: server.url, sessionManager: sessions })
      : make({ httpVersion, baseUrl: server.url, nodeOptions: { agent } });
  return Object.assign(createClient(Echo, transport), {
    [Symbol.dispose]() {
      agent.destroy();
      sessions.abort();
    },
  });
}

async function* forever(text: string) {
  for (;;) {
    yield { text };
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe.each(matrix)("$protocol over HTTP/$version and $way", ({ protocol, version, way }) => {
  test("all kinds of calls", async () => {
    await using server = await startServer({ handler: serve(echoHandler(new Seen())) });
    using client = clientOf(server, protocol, version, way);
    let head = "";
    let trail = "";
    const said = await client.say(
      { text: "x".repeat(5_000) },
      {
        onHeader: (fields) => (head = fields.get("x-head") ?? ""),
        onTrailer: (fields) => (trail = fields.get("x-trail") ?? ""),
      },
    );
    expect([said.text.length, head, trail]).toEqual([5_000, "h", "t"]);
    const indexes: number[] = [];
    for await (const { index } of client.serverStream({ text: "s", count: 3 })) indexes.push(index);
    expect(indexes).toEqual([0, 1, 2]);
    const texts = ["a", "b", "c"].map((text) => ({ text }));
    const all = await client.clientStream(
      (async function* () {
        yield* texts;
      })(),
    );
    expect(all).toMatchObject({ text: "abc", count: 3 });
    const bidi = async () => {
      const back: string[] = [];
      for await (const { text } of client.bidiStream(
        (async function* () {
          yield* texts;
        })(),
      ))
        back.push(text);
      return back;
    };
    if (version === "2" || way === "memory") expect(await bidi()).toEqual(["a", "b", "c"]);
    else await expect(bidi()).rejects.toThrow(ConnectError);
    expect(server.errors).toEqual([]);
  });

  test("errors arrive with their code, and unexpected ones without their text", async () => {
    await using server = await startServer({ handler: serve(echoHandler(new Seen())) });
    using client = clientOf(server, protocol, version, way);
    await expect(client.say({ text: "fail" })).rejects.toMatchObject({
      code: Code.ResourceExhausted,
      rawMessage: "as asked",
    });
    await expect(client.say({ text: "crash" })).rejects.toMatchObject({
      code: Code.Internal,
      rawMessage: "internal error",
    });
    const got: number[] = [];
    const dying = async () => {
      for await (const { index } of client.serverStream({ text: "die", count: 9 })) got.push(index);
    };
    await expect(dying()).rejects.toMatchObject({ code: Code.DataLoss, rawMessage: "half-way" });
    expect(got).toEqual([0, 1]);
  });

  test("an implementation that answers before the request is complete is heard, and the connection goes on", async () => {
    // Connect's client leaves its request unfinished then: over HTTP/1.1 its connection has to be cut to be replaced.
    const limits = { dropTimeoutMs: 50 };
    await using server = await startServer({ handler: serve(echoHandler(new Seen())), limits });
    using client = clientOf(server, protocol, version, way);
    const early = client.clientStream(
      (async function* () {
        yield { text: "one" };
        yield { text: "enough" };
        for (let index = 0; index < 40; index++) yield { text: "x".repeat(50_000) };
      })(),
    );
    expect(await within(3_000, "the answer", early)).toMatchObject({ text: "early", count: 1 });
    expect((await client.say({ text: "next" })).text).toBe("next");
  });

  test("a caller that goes away aborts the signal, with canceled, at once", async () => {
    const seen = new Seen();
    await using server = await startServer({ handler: serve(echoHandler(seen)) });
    using client = clientOf(server, protocol, version, way);
    const gone = new AbortController();
    const call = handled(client.say({ text: "wait" }, { signal: gone.signal }));
    await seen.next("waiting");
    gone.abort();
    const reason = await within(100, "the abort", seen.next("aborted"));
    expect(ConnectError.from(reason).code).toBe(Code.Canceled);
    await expect(call).rejects.toMatchObject({ code: Code.Canceled });
    expect(server.errors).toEqual([]);
  });

  test("a caller that goes away in the middle of a stream ends its implementation", async () => {
    const seen = new Seen();
    await using server = await startServer({ handler: serve(echoHandler(seen)) });
    using client = clientOf(server, protocol, version, way);
    const gone = new AbortController();
    const stream = async () => {
      for await (const { index } of client.serverStream({ text: "hold", count: 2 }, { signal: gone.signal })) {
        if (index === 1) gone.abort();
      }
    };
    await expect(stream()).rejects.toMatchObject({ code: Code.Canceled });
    const reason = await within(100, "the end", seen.next("finally"));
    expect(ConnectError.from(reason).code).toBe(Code.Canceled);
  });

  if (version === "2") {
    test("a bidirectional call ends with the implementation although its caller goes on sending", async () => {
      await using server = await startServer({
        handler: serve(echoHandler(new Seen())),
        limits: { dropTimeoutMs: 50 },
      });
      using client = clientOf(server, protocol, version, way);
      const back: string[] = [];
      const all = async () => {
        const requests = async function* () {
          yield { text: "a" };
          yield { text: "enough" };
          yield* forever("more");
        };
        for await (const { text } of client.bidiStream(requests())) back.push(text);
      };
      await within(
        3_000,
        "the end",
        all().catch(() => {}),
      );
      expect(back).toEqual(["a"]);
      expect((await client.say({ text: "next" })).text).toBe("next");
    });
  }
});

test.each(["1.1", "2"] as const)(
  "a caller over HTTP/%s that stops reading holds the implementation up",
  async (version) => {
    let sent = 0;
    const connect = connectHandler({
      routes: (router) =>
        router.service(Echo, {
          async *serverStream() {
            const text = "x".repeat(64 * 1024);
            for (;;) {
              sent += 1;
              yield { text, index: sent };
            }
          },
        }),
    });
    await using server = await startServer({ handler: serve(connect) });
    using call = startCall(server, version, {
      path: "/echo.v1.Echo/ServerStream",
      headers: { "content-type": "application/connect+json" },
    });
    call.request.end(Buffer.concat([Buffer.from([0, 0, 0, 0, 2]), Buffer.from("{}")]));
    (await call.head).body.pause();
    let before = -1;
    for (let quiet = 0; quiet < 20; ) {
      quiet = sent === before ? quiet + 1 : 0;
      before = sent;
      expect(sent).toBeLessThan(1_000);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  },
);

describe("requests that no procedure serves", () => {
  test.each([
    { path: "/echo.v1.Echo/Say", method: "GET", type: "", status: 405, why: "the method is not allowed" },
    { path: "/echo.v1.Echo/Say", method: "POST", type: "text/html", status: 415, why: "the type is unknown" },
    { path: "/echo.v1.Echo/Other", method: "POST", type: "application/json", status: 404, why: "unknown procedure" },
    { path: "/", method: "POST", type: "application/json", status: 404, why: "no procedure" },
  ])("$status: $why", async ({ path, method, type, status }) => {
    await using server = await startServer({ handler: serve(echoHandler(new Seen())) });
    for (const version of ["1.1", "2"] as const) {
      using call = startCall(server, version, { path, method, headers: type === "" ? {} : { "content-type": type } });
      if (!call.request.writableEnded) call.request.end(method === "GET" ? undefined : "x".repeat(100_000));
      const answer = await call.answer();
      expect(answer.status).toBe(status);
      if (status === 405) expect(answer.headers.allow).toBe("POST");
    }
  });

  test.each(["[", "", "%", "]:"])("Host %j is served like any other", async (host) => {
    await using server = await startServer({ handler: serve(echoHandler(new Seen())) });
    const request = `POST /echo.v1.Echo/Say?%zz=[ HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nContent-Length: 12\r\nConnection: close\r\n\r\n{"text":"a"}`;
    expect(await exchangeBytes(server.connect("tcp"), request)).toMatch(/^HTTP\/1.1 200 [\s\S]*\{"text":"a"\}$/);
    expect(server.errors).toEqual([]);
  });

  test.each(["a b", "a@b"])("Host %j, in which two hosts can be read, never gets as far", async (host) => {
    await using server = await startServer({ handler: serve(echoHandler(new Seen())) });
    const request = `POST /echo.v1.Echo/Say HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"text":"a"}`;
    expect(await exchangeBytes(server.connect("tcp"), request)).toMatch(/^HTTP\/1.1 400 /);
    expect(server.errors).toEqual([]);
  });

  test("no Host over HTTP/1.0 is served too", async () => {
    await using server = await startServer({ handler: serve(echoHandler(new Seen())) });
    const request = `POST /echo.v1.Echo/Say HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"text":"a"}`;
    expect(await exchangeBytes(server.connect("tcp"), request)).toMatch(/200 [\s\S]*\{"text":"a"\}$/);
  });
});

test("options reach the router: prefix, values of a call, interceptors, limits", async () => {
  const key = createContextKey("nobody");
  const connect = connectHandler({
    requestPathPrefix: "/api",
    readMaxBytes: 100,
    interceptors: [
      (next) => async (request) => {
        const response = await next(request);
        response.header.set("x-seen", request.url);
        return response;
      },
    ],
    contextValues: (exchange) => createContextValues().set(key, exchange.head.header("x-who") ?? ""),
    routes: (router) => router.service(Echo, { say: (_request, { values }) => ({ text: values.get(key) }) }),
  });
  expect([...connect.paths]).toContain("/api/echo.v1.Echo/Say");
  await using server = await startServer({ handler: serve(connect) });
  const say = async (body: string) => {
    using call = startCall(server, "1.1", {
      path: "/api/echo.v1.Echo/Say",
      headers: { "content-type": "application/json", "x-who": "me" },
    });
    call.request.end(body);
    return await call.answer();
  };
  const answer = await say("{}");
  expect(JSON.parse(answer.text)).toEqual({ text: "me" });
  expect(answer.headers["x-seen"]).toBe("http://host.invalid/api/echo.v1.Echo/Say");
  expect(JSON.parse((await say(`{"text":"${"x".repeat(200)}"}`)).text)).toMatchObject({ code: "resource_exhausted" });
});

test("gRPC over HTTP/1.1 ends with its status in the trailers", async () => {
  await using server = await startServer({ handler: serve(echoHandler(new Seen())) });
  using call = startCall(server, "1.1", {
    path: "/echo.v1.Echo/Say",
    headers: { "content-type": "application/grpc+json", te: "trailers" },
  });
  const message = Buffer.from('{"text":"fail"}');
  call.request.end(Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]));
  const answer = await call.answer();
  expect(answer).toMatchObject({
    status: 200,
    text: "",
    trailers: { "grpc-status": "8", "grpc-message": "as%20asked" },
  });
});

test("gzip is understood and spoken", async () => {
  await using server = await startServer({ handler: serve(echoHandler(new Seen())) });
  using call = startCall(server, "1.1", {
    path: "/echo.v1.Echo/Say",
    headers: { "content-type": "application/json", "accept-encoding": "gzip", "content-encoding": "gzip" },
  });
  const { gzipSync, gunzipSync } = await import("node:zlib");
  const text = "z".repeat(10_000);
  call.request.end(gzipSync(JSON.stringify({ text })));
  const answer = await call.answer();
  expect(answer.headers["content-encoding"]).toBe("gzip");
  expect(JSON.parse(gunzipSync(Buffer.from(answer.text, "latin1")).toString())).toEqual({ text });
});
