import { gzipSync } from "node:zlib";
import { create, type MessageInitShape, toBinary, toJsonString } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouterOptions,
  createContextKey,
  createContextValues,
  type HandlerContext,
  type Interceptor,
  type ServiceImpl,
} from "@connectrpc/connect";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { guardInterceptor } from "../../src/http/call-guard.js";
import { type ConnectHandler, connectHandler } from "../../src/http/connect-handler.js";
import { callOn, connectHttp2, exchangeBytes, startServer, type TestServer } from "../support/http-server.js";
import { type Mixed, Mixer } from "../support/mixed-service.js";

// The same request to the same implementation, once past Connect's own handlers and once through them. Everything that
// a caller sees must be the same, byte for byte.

const schema = Mixer.method.mix.input;
const key = createContextKey("nothing");

/** What an implementation finds in its context, as text. */
const seen = (context: HandlerContext): string =>
  JSON.stringify({
    method: context.method.name,
    service: context.service.typeName,
    requestMethod: context.requestMethod,
    protocolName: context.protocolName,
    url: context.url,
    value: context.values.get(key),
    timeout: typeof context.timeoutMs(),
    // With a timeout it depends on how fast this machine is.
    aborted: context.timeoutMs() === undefined ? context.signal.aborted : undefined,
    headers: [...context.requestHeader].filter(([name]) => name !== "host"),
    copied: [...new Headers({ ...context }.requestHeader).keys()].length,
  });

const untilAborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve());
  });

async function mix(request: Mixed, context: HandlerContext): Promise<unknown> {
  const [what = "", argument = ""] = request.text.split(":");
  const { responseHeader, responseTrailer, signal } = what === "echo" ? ({} as HandlerContext) : context;
  switch (what) {
    case "headers":
      responseHeader.append("x-two", "a");
      responseHeader.append("x-two", "b");
      responseHeader.append("set-cookie", "a=1");
      responseHeader.append("set-cookie", "b=2");
      responseTrailer.append("x-end", argument);
      responseTrailer.append("x-end", "again");
      return request;
    case "type":
      responseHeader.set("content-type", "text/odd");
      responseHeader.delete("x-none");
      return request;
    case "fail": {
      responseHeader.set("x-before", "kept");
      responseTrailer.set("x-end", "kept too");
      const metadata = { "x-meta": argument, "content-type": "text/of-error" };
      throw new ConnectError(argument, Number(argument) || Code.Aborted, metadata, [
        { desc: schema, value: { text: "detail", big: 5n } },
      ]);
    }
    case "crash":
      throw argument === "" ? new Error("secret") : new RangeError(argument);
    case "throw":
      throw argument;
    case "reject":
      return Promise.reject(new DOMException("told to stop", "AbortError"));
    case "wrong":
      return { text: 5, data: "none" };
    case "nothing":
      return {};
    case "long":
      return { text: (argument || "x").repeat(700) };
    case "seen":
      return { text: seen(context) };
    case "wait":
      // Only ever asked with a timeout; without one it answers at once.
      if (context.timeoutMs() === undefined) return request;
      await untilAborted(signal);
      throw signal.reason;
    default:
      return request;
  }
}

const implementation = { mix, get: mix } as unknown as Partial<ServiceImpl<typeof Mixer>>;

const adding: Interceptor = (next) => async (request) => {
  request.header.set("x-added", "by an interceptor");
  const response = await next(request);
  response.header.set("x-answered", "yes");
  response.trailer.append("x-end", "interceptor");
  return response;
};
const copying: Interceptor = (next) => async (request) => {
  const header = new Headers(request.header);
  header.set("x-copied", "yes");
  const response = await next({ ...request, header, contextValues: createContextValues().set(key, "copied") } as never);
  return { ...response, header: new Headers({ "x-new": "1", "content-type": "text/copied" }) } as never;
};
const short: Interceptor = (next) => async (request) => {
  if (!request.stream && (request.message as unknown as Mixed).many.includes("stop")) throw new ConnectError("stopped");
  return next(request);
};
const guards = [
  guardInterceptor({ mapError: (error) => ConnectError.from(error, Code.DataLoss) }),
  guardInterceptor({
    before: () => {
      if (refusing) throw new RangeError("refused");
    },
  }),
];
let refusing = false;

const variants: Record<string, ConnectRouterOptions> = {
  "without options": {},
  "with interceptors": { interceptors: [adding, short] },
  "with interceptors that copy": { interceptors: [copying, adding] },
  "with guards": { interceptors: guards },
  "with limits": {
    readMaxBytes: 60,
    writeMaxBytes: 80,
    maxTimeoutMs: 500,
    compressMinBytes: 10,
    requireConnectProtocolHeader: true,
  },
  "with JSON options": { jsonOptions: { ignoreUnknownFields: false, alwaysEmitImplicit: true }, compressMinBytes: 1 },
};

interface Pair {
  readonly direct: ConnectHandler;
  readonly ordinary: ConnectHandler;
  readonly servers: readonly [TestServer, TestServer];
}

const words = fc.oneof(
  fc.constantFrom("echo", "seen", "long", "nothing", "wrong", "wait", "reject", "type", "crash", "crash:x", "throw:it"),
  fc.constantFrom("headers:1", "fail:", "fail:3", "fail:16", "fail:99", "long:é", "long:\u{1f600}", "wait:"),
  fc.string({ unit: "grapheme", maxLength: 12 }),
);
const message = fc.record({
  text: words,
  data: fc.uint8Array({ maxLength: 20 }),
  big: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  many: fc.array(fc.constantFrom("", "stop", "a", "ß"), { maxLength: 2 }),
});

const toBytes = (codec: string, given: MessageInitShape<typeof schema>): Buffer =>
  codec === "proto"
    ? Buffer.from(toBinary(schema, create(schema, given)))
    : Buffer.from(toJsonString(schema, create(schema, given)));

const often = <T>(usual: T, ...others: readonly T[]) =>
  fc.oneof({ weight: 8, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) });

const rarely = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 6, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });

const request = fc.record({
  verb: often("POST", "GET", "PUT", "OPTIONS", "POST"),
  path: often(
    "/test.Mixer/Mix",
    "/test.Mixer/Get",
    "/test.Mixer/Missing",
    "/test.Mixer/Mix?a=%20&b",
    "/test.Mixer/Mix?",
  ),
  codec: fc.constantFrom("proto", "json"),
  type: rarely(
    fc.constantFrom(
      "application/json; charset=utf-8",
      "application/json;charset=utf-8",
      "application/json; charset=latin1",
      "Application/JSON",
      "application/proto; a=b",
      "application/connect+json",
      "application/grpc",
      "text/plain",
      "",
    ),
  ),
  message,
  body: rarely(
    fc.oneof(
      fc.constantFrom("", "{}", "[]", "null", "{", '{"unknown":[1,{"a":null}]}', '{"text":"a","text":"b"}'),
      fc.constantFrom("\ufeff{}", '{"text":"\\ud800"}', "\n\x03echo", "\n\x7fecho", '{"big":"x"}', '{"text":1}'),
      fc.uint8Array({ maxLength: 40 }),
    ),
  ),
  encoding: often(undefined, "identity", "gzip", "gzip!", "zstd", ""),
  framing: often<"length" | "chunks" | "none">("length", "chunks", "none"),
  timeout: often(undefined, "1000", "30", "0", "00005", "99999999999", "x", "", "-1", "1, 2"),
  accept: often(undefined, "gzip", "br, gzip", "identity", "zstd, br;q=1, gzip", ""),
  expect: often(undefined, "100-continue"),
  version: often("1", undefined, "2"),
  extra: fc.array(
    fc.tuple(
      fc.constantFrom("x-a", "x-b", "x-added", "cookie", "trailer-x", "te", "content-type", "accept-encoding"),
      fc.stringMatching(/^[!-~\xa1-\xff]([ -~]{0,8}[!-~])?$/),
    ),
    { maxLength: 3 },
  ),
});
type Request = typeof request extends fc.Arbitrary<infer T> ? T : never;

function bodyOf({ codec, message: given, body, encoding }: Request): Buffer {
  const plain = body === undefined ? toBytes(codec, given) : Buffer.from(body as string);
  return encoding === "gzip" ? gzipSync(plain) : plain;
}

function fieldsOf(given: Request): [string, string][] {
  const { codec, type = `application/${codec}`, encoding, timeout, accept, expect: expected, version, extra } = given;
  const named = { "content-type": type, "content-encoding": encoding, "connect-timeout-ms": timeout };
  const more = { expect: expected, "accept-encoding": accept, "connect-protocol-version": version };
  return [
    ...Object.entries({ ...named, ...more }).filter((pair): pair is [string, string] => pair[1] !== undefined),
    ...extra,
  ];
}

function http1Text(given: Request): string {
  const { verb, path, framing } = given;
  const body = bodyOf(given).toString("latin1");
  const lines = [`${verb} ${path} HTTP/1.1`, "host: a", "connection: close"];
  lines.push(...fieldsOf(given).map(([name, value]) => `${name}: ${value}`));
  if (framing === "none") return `${lines.join("\r\n")}\r\n\r\n`;
  if (framing === "length") return `${lines.join("\r\n")}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  const half = body.length >> 1;
  const chunks = [body.slice(0, half), body.slice(half)].filter((part) => part !== "");
  const text = chunks.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join("");
  return `${lines.join("\r\n")}\r\ntransfer-encoding: chunked\r\n\r\n${text}0\r\n\r\n`;
}

const withoutDate = (text: string): string => text.replace(/^date: .*\r\n/im, "");

describe.each(Object.entries(variants))("%s", (name, options) => {
  let pair: Pair;

  beforeAll(async () => {
    const handlers = [true, false].map((direct) =>
      connectHandler({
        ...options,
        direct,
        contextValues: () => createContextValues().set(key, "given"),
        routes: (router) => router.service(Mixer, implementation),
      }),
    ) as [ConnectHandler, ConnectHandler];
    const servers = await Promise.all(
      handlers.map((handler) =>
        startServer({
          handler: async (exchange) => {
            if ((await handler.handle(exchange)) === false) exchange.respond(404, [], true);
          },
        }),
      ),
    );
    pair = { direct: handlers[0], ordinary: handlers[1], servers: servers as [TestServer, TestServer] };
  });
  afterAll(() => Promise.all(pair.servers.map((server) => server[Symbol.asyncDispose]())));

  test("a caller over HTTP/1.1 sees the same both ways, to the byte", async () => {
    await fc.assert(
      fc.asyncProperty(request, fc.boolean(), async (given, refused) => {
        refusing = refused && name === "with guards";
        const text = http1Text(given);
        const [direct, ordinary] = await Promise.all(
          pair.servers.map((server) => exchangeBytes(server.connect("memory"), text)),
        );
        expect(withoutDate(direct ?? "")).toBe(withoutDate(ordinary ?? ""));
      }),
      // How many of them are ordinary requests is chance: with half of this it was just thirty once.
      { numRuns: 300 },
    );
    expect(pair.direct.directCalls).toBeGreaterThan(30);
    expect(pair.ordinary.directCalls).toBe(0);
    expect(pair.servers.flatMap((server) => server.errors)).toEqual([]);
  });

  test("a caller over HTTP/2 sees the same both ways", async () => {
    refusing = false;
    const before = pair.direct.directCalls;
    const sessions = pair.servers.map((server) => connectHttp2(server));
    try {
      await fc.assert(
        fc.asyncProperty(request, async (given) => {
          const headers = Object.fromEntries(
            fieldsOf(given).filter(([field, value]) => field !== "te" && value !== ""),
          );
          const body = bodyOf(given);
          if (given.framing === "length" && given.verb !== "GET") headers["content-length"] = String(body.length);
          const answers = await Promise.all(
            sessions.map(async (session) => {
              const { verb, path } = given;
              const call = callOn(session, { ":method": verb, ":path": path, ":authority": "a", ...headers });
              if (verb !== "GET") call.request.end(given.framing === "none" ? undefined : body);
              const { headers: head, text } = await call.answer();
              const { date: _date, ...rest } = head;
              return { ...rest, text };
            }),
          );
          expect(answers[0]).toEqual(answers[1]);
        }),
        { numRuns: 60 },
      );
    } finally {
      for (const session of sessions) session.destroy();
    }
    expect(pair.direct.directCalls).toBeGreaterThan(before);
  });
});
