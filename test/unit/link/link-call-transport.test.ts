import { getEventListeners } from "node:events";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { afterEach, describe, expect, test, vi } from "vitest";
import { deferred } from "../../../src/internal/deferred.js";
import { resetCode } from "../../../src/link/frame.js";
import { okEnd } from "../../../src/link/head-codec.js";
import { LinkCallTransport, noConnection } from "../../../src/link/link-call-transport.js";
import type { LinkStream, LinkStreamHandler } from "../../../src/link/link-stream.js";
import { failureOf } from "../../contract/transports/outcome.js";
import { Echo, SayResponseSchema } from "../../support/gen/echo/v1/echo_pb.js";
import { openLinkPair } from "../../support/link-pair.js";
import { manualClock } from "../../support/manual-clock.js";

afterEach(() => {
  vi.unstubAllGlobals();
});

const answer = (text: string): Uint8Array => toBinary(SayResponseSchema, create(SayResponseSchema, { text }));

/** A client on one end of a link in memory; `take` gets its calls on the other. Time stands still. */
async function start(
  take: (stream: LinkStream) => void,
  {
    take: takeStream,
    ...more
  }: {
    interceptors?: readonly Interceptor[];
    connection?: Transport;
    onError?: (error: ConnectError) => void;
    take?: (stream: LinkStream) => LinkStreamHandler;
  } = {},
) {
  const clock = manualClock();
  const pair = await openLinkPair({
    clock,
    onCall: (stream): LinkStreamHandler =>
      takeStream?.(stream) ?? {
        onData: () => stream.consume(),
        onEnd: () => take(stream),
        onReset: () => {},
      },
  });
  const { session } = pair.dialler;
  let isLinked = true;
  const transport = new LinkCallTransport({
    route: () => (isLinked ? { session, basePath: "/services/echo/any" } : undefined),
    connection: noConnection,
    interceptors: [],
    ...more,
  });
  return {
    pair,
    clock,
    session,
    client: createClient(Echo, transport),
    leave: () => {
      isLinked = false;
    },
    /** Moves frames until a promise has settled. */
    async settled<T>(outcome: Promise<T>): Promise<T> {
      let done = false;
      const mark = (): void => {
        done = true;
      };
      outcome.then(mark, mark);
      while (!done) await pair.settle();
      return outcome;
    },
  };
}

/** A connection that answers with this text. */
const connectionThatSays = (text: string): Transport => ({
  ...noConnection,
  unary: (async (method: { parent: unknown }) => ({
    stream: false,
    service: method.parent,
    method,
    header: new Headers(),
    trailer: new Headers(),
    message: create(SayResponseSchema, { text }),
  })) as unknown as Transport["unary"],
});

test("an ordinary call makes neither headers nor an abort controller", async () => {
  const peer = await start((stream) => stream.end(okEnd, answer("hi")));
  await peer.settled(peer.client.say({}));
  let made = 0;
  class Counted {
    constructor() {
      made += 1;
    }
  }
  vi.stubGlobal("Headers", Counted);
  vi.stubGlobal("AbortController", Counted);
  const call = peer.client.say({}, { timeoutMs: 1_000 });
  await peer.settled(call);
  vi.unstubAllGlobals();
  expect(await call).toMatchObject({ text: "hi" });
  expect(made).toBe(0);
});

test.each([
  { name: "answered", take: (stream: LinkStream) => stream.end(okEnd, answer("")) },
  { name: "failed", take: (stream: LinkStream) => stream.end({ ...okEnd, code: 5, message: "no" }) },
  { name: "reset", take: (stream: LinkStream) => stream.reset(resetCode.internal) },
])("a call that is $name leaves no listener on its caller's signal", async ({ take }) => {
  const peer = await start(take);
  const { signal } = new AbortController();
  await peer.settled(peer.client.say({}, { signal })).catch(() => {});
  expect(getEventListeners(signal, "abort")).toEqual([]);
  expect(peer.session.stats.openStreams).toBe(0);
});

test("a call that is given up is reset on the link and leaves nothing open", async () => {
  const streams: LinkStream[] = [];
  const peer = await start((stream) => void streams.push(stream));
  const stop = new AbortController();
  const outcome = failureOf(peer.client.say({}, { signal: stop.signal }));
  await peer.pair.settle();
  stop.abort(new ConnectError("enough", Code.Aborted));
  expect((await outcome).rawMessage).toBe("enough");
  await peer.pair.settle();
  expect(streams.map(({ closed }) => closed)).toEqual([true]);
  expect(getEventListeners(stop.signal, "abort")).toEqual([]);
});

test("the deadline ends the call on its own side even if the other says nothing", async () => {
  const peer = await start(() => {});
  const outcome = failureOf(peer.client.say({}, { timeoutMs: 50 }));
  await peer.pair.settle();
  peer.clock.advance(100);
  const error = await outcome;
  expect([error.code, error.rawMessage]).toEqual([Code.DeadlineExceeded, "the operation timed out"]);
});

test("a call that was not looked at goes over the connection, once", async () => {
  let refused = 0;
  const take = (stream: LinkStream): void => {
    refused += 1;
    stream.reset(resetCode.refused);
  };
  const peer = await start(take, { connection: connectionThatSays("over HTTP") });
  expect(await peer.settled(peer.client.say({}))).toMatchObject({ text: "over HTTP" });
  expect(refused).toBe(1);
});

describe("a stream that was not looked at", () => {
  /** Waits, between two messages, until it is told to go on. */
  const texts = (go: Promise<void>, closed: () => void) =>
    (async function* () {
      try {
        yield { text: "a" };
        yield { text: "b" };
        await go;
        yield { text: "c" };
      } finally {
        closed();
      }
    })();

  /** Takes no call: on the link it is refused when `count` messages of it have come. */
  const refusing = (count: number) => {
    const seen: { readonly limitMs: number | undefined; readonly texts: string[] }[] = [];
    const stream = (async (...given: Parameters<Transport["stream"]>) => {
      const [method, , limitMs, , input] = given;
      const call = { limitMs, texts: [] as string[] };
      seen.push(call);
      const message = (async function* () {
        for await (const one of input) {
          call.texts.push((one as { text: string }).text);
          if (method.methodKind !== "client_streaming") yield create(method.output, one as never);
        }
        if (method.methodKind === "client_streaming")
          yield create(method.output, { text: call.texts.join("") } as never);
      })();
      const parts = { header: new Headers(), trailer: new Headers() };
      return { stream: true, service: method.parent, method, message, ...parts };
    }) as Transport["stream"];
    const take = (opened: LinkStream): LinkStreamHandler => {
      let came = 0;
      const look = (): void => {
        if (came === count) opened.reset(resetCode.refused, "not now");
      };
      look();
      return {
        onData() {
          came += 1;
          opened.consume();
          look();
        },
        onEnd: () => {},
        onReset: () => {},
      };
    };
    return { seen, take, connection: { ...noConnection, stream } };
  };

  test.each([0, 1, 2])("goes over the connection from its beginning, %s messages being on their way", async (count) => {
    const { seen, take, connection } = refusing(count);
    const go = deferred();
    const closed = vi.fn();
    const peer = await start(() => {}, { connection, take });
    const joined = peer.client.clientStream(texts(go.promise, closed), { timeoutMs: 60_000 });
    for (let turn = 0; turn < 20 && seen.length === 0; turn++) await peer.pair.settle();
    go.resolve();
    expect(await peer.settled(joined)).toMatchObject({ text: "abc" });
    expect(seen).toEqual([{ limitMs: expect.any(Number), texts: ["a", "b", "c"] }]);
    expect(seen[0]?.limitMs).toBeLessThanOrEqual(60_000);
    expect(closed).toHaveBeenCalledOnce();
    expect(peer.session.stats.openStreams).toBe(0);
  });

  test("goes over the connection when all of it had been sent", async () => {
    const { seen, take, connection } = refusing(1);
    const peer = await start(() => {}, { connection, take });
    const read = (async () => {
      const answers: string[] = [];
      for await (const { text } of peer.client.serverStream({ text: "x", count: 1 })) answers.push(text);
      return answers;
    })();
    expect(await peer.settled(read)).toEqual(["x"]);
    expect(seen).toEqual([{ limitMs: undefined, texts: ["x"] }]);
  });

  test("fails as unavailable when more was sent than is kept, and its input is closed", async () => {
    const { seen, take, connection } = refusing(3);
    const peer = await start(() => {}, { connection, take });
    const closed = vi.fn();
    async function* large() {
      try {
        for (;;) yield { text: "x".repeat(30_000) };
      } finally {
        closed();
      }
    }
    const error = await peer.settled(failureOf(peer.client.clientStream(large())));
    expect([error.code, error.rawMessage]).toEqual([Code.Unavailable, "not now"]);
    await vi.waitFor(() => expect(closed).toHaveBeenCalledOnce());
    expect(seen).toEqual([]);
  });

  test("ends with what its input throws, wherever that is read", async () => {
    const { take, connection } = refusing(1);
    const peer = await start(() => {}, { connection, take });
    const go = deferred();
    async function* broken() {
      yield { text: "a" };
      await go.promise;
      throw new ConnectError("no more", Code.Aborted);
    }
    const outcome = failureOf(peer.client.clientStream(broken()));
    await peer.pair.settle();
    go.resolve();
    expect((await peer.settled(outcome)).rawMessage).toBe("no more");
  });
});

test("a call for which there is no link, or none any more, goes over the connection", async () => {
  const peer = await start(() => {}, { connection: connectionThatSays("over HTTP") });
  peer.session.close();
  expect(await peer.client.say({})).toMatchObject({ text: "over HTTP" });
  peer.leave();
  expect(await peer.client.say({})).toMatchObject({ text: "over HTTP" });
});

test("what could have been looked at is not sent again", async () => {
  const peer = await start((stream) => stream.reset(resetCode.unavailable, "gone"), {
    connection: connectionThatSays("over HTTP"),
  });
  const error = await peer.settled(failureOf(peer.client.say({})));
  expect([error.code, error.rawMessage, error.metadata.get("retry-after")]).toEqual([Code.Unavailable, "gone", "1"]);
});

test("fields of the caller go out, but for credentials and what is HTTP's own", async () => {
  let head: LinkStream["head"] | undefined;
  const peer = await start((stream) => {
    head = stream.head;
    stream.end(okEnd, answer(""));
  });
  const headers = { "x-own": "1", authorization: "Bearer x", "content-type": "text/plain", "connect-timeout-ms": "5" };
  await peer.settled(peer.client.say({}, { headers, timeoutMs: 1_000.4 }));
  expect(head).toMatchObject({ path: "/services/echo/any/Say", deadlineMs: 1_001, fields: ["x-own", "1"] });
});

test("interceptors see the request as over HTTP, and what they change goes out", async () => {
  let fields: readonly string[] = [];
  const seen: (string | null)[] = [];
  const interceptor: Interceptor = (next) => (request) => {
    seen.push(request.header.get("content-type"), request.url);
    request.header.set("x-added", "1");
    return next(request);
  };
  const take = (stream: LinkStream): void => {
    fields = stream.head.fields;
    stream.end(okEnd, answer("hi"));
  };
  const peer = await start(take, { interceptors: [interceptor] });
  expect(await peer.settled(peer.client.say({}))).toMatchObject({ text: "hi" });
  expect(seen).toEqual(["application/proto", "http://host.invalid/echo.v1.Echo/Say"]);
  expect(fields).toContain("x-added");
});

test.each([
  { name: "no message", take: (stream: LinkStream) => stream.end(), code: Code.Unimplemented },
  {
    name: "two messages",
    take: (stream: LinkStream) => {
      stream.send(answer("a"));
      stream.end(okEnd, answer("b"));
    },
    code: Code.Unimplemented,
  },
  {
    name: "bytes that are no message",
    take: (stream: LinkStream) => stream.end(okEnd, Buffer.from([255])),
    code: Code.InvalidArgument,
  },
  {
    name: "a code that there is not",
    take: (stream: LinkStream) => stream.end({ ...okEnd, code: 99 }),
    code: Code.Unknown,
  },
])("an answer with $name is an error", async ({ take, code }) => {
  const peer = await start(take);
  expect((await peer.settled(failureOf(peer.client.say({})))).code).toBe(code);
});

test("errors of the other side are told to who asked to be told", async () => {
  const told: Code[] = [];
  const peer = await start((stream) => stream.end({ ...okEnd, code: Code.Unauthenticated, message: "who?" }), {
    onError: ({ code }) => void told.push(code),
  });
  await peer.settled(failureOf(peer.client.say({})));
  expect(told).toEqual([Code.Unauthenticated]);
});

test.each([
  {
    kind: "a call",
    call: ({ client }: Awaited<ReturnType<typeof start>>) => client.say({}, { timeoutMs: Number.NaN }),
  },
  {
    kind: "a stream",
    call: ({ client }: Awaited<ReturnType<typeof start>>) =>
      client.serverStream({}, { timeoutMs: Number.NaN })[Symbol.asyncIterator]().next(),
  },
])("$kind whose time is no number is refused before anything is sent", async ({ call }) => {
  let calls = 0;
  const parts = await start(() => calls++);
  const { code, rawMessage } = await failureOf(parts.settled(Promise.resolve(call(parts))));
  expect([code, rawMessage]).toEqual([Code.InvalidArgument, "timeoutMs must be a number of milliseconds, got NaN"]);
  expect(calls).toBe(0);
});
