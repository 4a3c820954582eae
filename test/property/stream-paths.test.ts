import { gzipSync } from "node:zlib";
import { create, type Message, type MessageInitShape, toBinary, toJsonString } from "@bufbuild/protobuf";
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
import { shareMessage } from "../../src/http/shared-message.js";
import { startCall, startServer, type TestServer, type Version } from "../support/http-server.js";
import { type Mixed, Mixer } from "../support/mixed-service.js";

// The same request for a stream to the same implementation, once past Connect's own handlers and once through them.
// Everything that a caller sees must be the same, but for how HTTP/1.1 cuts the body.

const schema = Mixer.method.stream.input;
const key = createContextKey("nothing");

const untilAborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve());
  });

/** What an implementation finds in its context, as text. */
const seen = (context: HandlerContext): string =>
  JSON.stringify({
    method: context.method.name,
    service: context.service.typeName,
    protocolName: context.protocolName,
    requestMethod: context.requestMethod,
    url: context.url,
    value: context.values.get(key),
    timeout: typeof context.timeoutMs(),
    aborted: context.timeoutMs() === undefined ? context.signal.aborted : undefined,
    headers: [...context.requestHeader].filter(([name]) => name !== "host"),
  });

// One for all calls, as it is with watches.
const shared = shareMessage(
  create(schema as never, { text: "shared", many: ["ß", "b".repeat(90)] } as never) as Message,
);

async function* answer(request: Mixed, context: HandlerContext): AsyncGenerator<unknown> {
  const [what = "", argument = ""] = request.text.split(":");
  switch (what) {
    case "many":
      for (let index = 0; index < Number(argument); index++) yield { text: `${index}`, data: request.data };
      return;
    case "shared":
      for (let index = 0; index < 3; index++) yield shared;
      return;
    case "headers":
      context.responseHeader.append("x-two", "a");
      context.responseHeader.append("x-two", "b");
      context.responseTrailer.append("x-end", "1");
      yield request;
      // The head has left.
      context.responseHeader.set("x-late", "lost");
      context.responseTrailer.append("x-end", argument);
      return;
    case "type":
      context.responseHeader.set("content-type", "text/odd");
      yield request;
      return;
    case "early": {
      const metadata = { "x-meta": argument, "content-type": "text/of-error" };
      throw new ConnectError(argument, Number(argument) || Code.Aborted, metadata, [
        { desc: schema, value: { text: "detail", big: 5n } },
      ]);
    }
    case "late":
      context.responseTrailer.set("x-end", "kept");
      yield request;
      throw argument === "" ? new Error("secret") : new ConnectError(argument, Code.DataLoss);
    case "crash":
      yield request;
      throw new RangeError(argument);
    case "wrong":
      yield request;
      yield { text: 5, data: "none" };
      return;
    case "long":
      yield request;
      yield { text: (argument || "x").repeat(700) };
      yield request;
      return;
    case "seen":
      yield { text: seen(context) };
      return;
    case "wait":
      yield request;
      // Only ever asked with a timeout; without one it ends at once.
      if (context.timeoutMs() === undefined) return;
      await untilAborted(context.signal);
      throw context.signal.reason;
    default:
      yield request;
  }
}

function stream(request: Mixed, context: HandlerContext): unknown {
  if (request.text === "throws") throw new ConnectError("at once", Code.NotFound);
  if (request.text === "crashes") throw new TypeError("at once");
  if (request.text === "no iterable") return 5;
  return answer(request, context);
}

const implementation = { stream } as unknown as Partial<ServiceImpl<typeof Mixer>>;

const looking: Interceptor = (next) => async (request) => {
  const response = await next(request);
  response.header.set("x-answered", "yes");
  return response;
};
let refusing = false;
const guards = [
  guardInterceptor({ mapError: (error) => new ConnectError("outer", ConnectError.from(error).code) }),
  guardInterceptor({
    before: () => {
      if (refusing) throw new RangeError("refused");
    },
    mapError: (error) => ConnectError.from(error, Code.DataLoss),
  }),
];

const variants: Record<string, { readonly options: ConnectRouterOptions; readonly isDirect: boolean }> = {
  "without options": { options: {}, isDirect: true },
  "with guards": { options: { interceptors: guards }, isDirect: true },
  "with interceptors of other kinds": { options: { interceptors: [looking] }, isDirect: false },
  "with limits": {
    options: {
      readMaxBytes: 60,
      writeMaxBytes: 200,
      maxTimeoutMs: 500,
      compressMinBytes: 10,
      requireConnectProtocolHeader: true,
    },
    isDirect: true,
  },
  "with JSON options": {
    options: { jsonOptions: { ignoreUnknownFields: false, alwaysEmitImplicit: true }, compressMinBytes: 1 },
    isDirect: true,
  },
};

const words = fc.oneof(
  fc.constantFrom("many:0", "many:1", "many:5", "shared", "headers:x", "type", "early:", "early:3", "early:99"),
  fc.constantFrom("late", "late:why", "crash:x", "wrong", "long", "long:é", "seen", "wait"),
  fc.constantFrom("throws", "crashes", "no iterable"),
  fc.string({ unit: "grapheme", maxLength: 12 }),
);
const message = fc.record({
  text: words,
  data: fc.uint8Array({ maxLength: 20 }),
  many: fc.array(fc.constantFrom("", "a", "ß"), { maxLength: 2 }),
});

const often = <T>(usual: T, ...others: readonly T[]) =>
  fc.oneof({ weight: 9, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) });

const request = fc.record({
  verb: often("POST", "PUT", "OPTIONS"),
  path: often("/test.Mixer/Stream", "/test.Mixer/Stream?a=%20&b"),
  codec: fc.constantFrom("proto", "json"),
  type: often<string | undefined>(
    undefined,
    "application/connect+json; charset=utf-8",
    "application/connect+json;charset=utf-8",
    "application/connect+xml",
    "application/json",
    "application/proto",
    "text/plain",
  ),
  message,
  envelopes: often(
    "one",
    ...["none", "two", "cut prefix", "cut message", "too long", "compressed", "end", "bad message", "empty"],
  ),
  encoding: often<string | undefined>(undefined, "identity", "gzip", "zstd"),
  httpEncoding: often<string | undefined>(undefined, undefined, "identity"),
  hasLength: fc.boolean(),
  inPieces: fc.boolean(),
  timeout: often<string | undefined>(undefined, "1000", "30", "0", "99999999999", "x", "-1"),
  accept: often<string | undefined>(undefined, "gzip", "br, gzip", "identity", "zstd, gzip", ""),
  version: often<string | undefined>("1", undefined, "2"),
});
type Request = typeof request extends fc.Arbitrary<infer T> ? T : never;

const enveloped = (bytes: Uint8Array, flags = 0, length = bytes.length): Buffer => {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(flags, 0);
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, bytes]);
};

function bodyOf({ codec, message: given, envelopes }: Request): Buffer {
  const init = create(schema, given as MessageInitShape<typeof schema>);
  const bytes = codec === "proto" ? toBinary(schema, init) : Buffer.from(toJsonString(schema, init));
  const one = enveloped(bytes);
  switch (envelopes) {
    case "none":
      return Buffer.alloc(0);
    case "two":
      return Buffer.concat([one, one]);
    case "cut prefix":
      return one.subarray(0, 3);
    case "cut message":
      return one.subarray(0, -1);
    case "too long":
      return enveloped(bytes, 0, 0xfffffff0);
    case "compressed":
      return enveloped(gzipSync(bytes), 1);
    case "end":
      return enveloped(Buffer.from("{}"), 2);
    case "bad message":
      return enveloped(Buffer.from("\x0a\xff{"));
    case "empty":
      return enveloped(Buffer.alloc(0));
    default:
      return one;
  }
}

function headersOf(given: Request, length: number): Record<string, string> {
  const { codec, type = `application/connect+${codec}`, encoding, httpEncoding, timeout, accept, version } = given;
  const named = {
    "content-type": type,
    "connect-content-encoding": encoding,
    "content-encoding": httpEncoding,
    "connect-timeout-ms": timeout,
    "connect-accept-encoding": accept,
    "connect-protocol-version": version,
    "content-length": given.hasLength ? String(length) : undefined,
  };
  return Object.fromEntries(
    Object.entries(named).filter((pair): pair is [string, string] => pair[1] !== undefined && pair[1] !== ""),
  );
}

async function ask(server: TestServer, version: Version, given: Request): Promise<unknown> {
  const body = bodyOf(given);
  const headers = headersOf(given, body.length);
  // Connections in memory carry HTTP/1.1 only.
  const way = version === "2" ? "tcp" : "memory";
  using call = startCall(server, version, { way, path: given.path, method: given.verb, headers });
  if (given.inPieces && body.length > 6) {
    for (const [from, to] of [
      [0, 2],
      [2, 6],
    ])
      call.request.write(body.subarray(from, to));
    call.request.end(body.subarray(6));
  } else call.request.end(body);
  const { status, headers: head, text } = await call.answer();
  const { date, connection, "transfer-encoding": coding, "content-length": length, "keep-alive": kept, ...rest } = head;
  return { status, head: rest, text };
}

describe.each(Object.entries(variants))("%s", (name, { options, isDirect }) => {
  let direct: ConnectHandler;
  let ordinary: ConnectHandler;
  let servers: readonly TestServer[] = [];

  beforeAll(async () => {
    const made = [true, false].map((isAllowed) =>
      connectHandler({
        ...options,
        direct: isAllowed,
        contextValues: () => createContextValues().set(key, "given"),
        routes: (router) => router.service(Mixer, implementation),
      }),
    ) as [ConnectHandler, ConnectHandler];
    [direct, ordinary] = made;
    servers = await Promise.all(
      made.map((handler) =>
        startServer({
          handler: async (exchange) => {
            if ((await handler.handle(exchange)) === false) exchange.respond(404, [], true);
          },
        }),
      ),
    );
  });
  afterAll(() => Promise.all(servers.map((server) => server[Symbol.asyncDispose]())));

  test.each<Version>(["1.1", "2"])("a caller over HTTP/%s sees the same both ways", async (version) => {
    const before = direct.directCalls;
    await fc.assert(
      fc.asyncProperty(request, fc.boolean(), async (given, refused) => {
        refusing = refused && name === "with guards";
        const [past, through] = await Promise.all(servers.map((server) => ask(server, version, given)));
        expect(past).toEqual(through);
      }),
      { numRuns: 120 },
    );
    if (isDirect) expect(direct.directCalls - before).toBeGreaterThan(15);
    else expect(direct.directCalls).toBe(0);
    expect(ordinary.directCalls).toBe(0);
    expect(servers.flatMap((server) => server.errors)).toEqual([]);
  });
});
