import { create } from "@bufbuild/protobuf";
import { Code, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { fieldValue } from "../../../src/http/field-list.js";
import { deferred } from "../../../src/internal/deferred.js";
import type {
  AdmittedCall,
  DecidedCall,
  InProcessRequest,
  InProcessRoute,
  LinkedInProcessCall,
} from "../../../src/link/in-process-route.js";
import { InProcessTransport } from "../../../src/link/in-process-transport.js";
import { noConnection } from "../../../src/link/link-call-transport.js";
import type { LinkStream } from "../../../src/link/link-stream.js";
import { failureOf } from "../../contract/transports/outcome.js";
import { Echo, ServerStreamResponseSchema } from "../../support/gen/echo/v1/echo_pb.js";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance", "Date"] }));
afterEach(() => void vi.useRealTimers());

/** Gives each attempt so much time, as interceptors of an SDK do. */
const gives =
  (timeoutMs: number): Interceptor =>
  (next) =>
  (request) => {
    request.header.set("connect-timeout-ms", String(timeoutMs));
    return next(request);
  };

/** The host's side of one call: how it is decided, and what it heard of it. */
function startHost(decide: () => DecidedCall, wait?: Promise<void>) {
  const requests: InProcessRequest[] = [];
  const left: string[] = [];
  const route: InProcessRoute = {
    open(request) {
      requests.push(request);
      if (wait === undefined) return decide();
      return { kind: "waiting", decided: wait.then(decide), leave: (why) => void left.push(why) };
    },
  };
  return { route, requests, left };
}

/** A call whose provider never answers; `ends` says how it ended, and `told` what the provider was told of its time. */
function admitted() {
  const ends: string[] = [];
  const told: (number | undefined)[] = [];
  const call: Partial<AdmittedCall> = {
    kind: "admitted",
    target: {
      method: Echo.method.serverStream,
      owner: { refusal: () => undefined, enter: () => {}, leave: () => {} },
      async *implementation(_request: unknown, context: unknown) {
        const { signal, timeoutMs } = context as { signal: AbortSignal; timeoutMs(): number | undefined };
        told.push(timeoutMs());
        yield create(ServerStreamResponseSchema, { text: "first" });
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
      },
    } as never,
    requestFields: () => [],
    requestEnded: () => {},
    passed: () => true,
    answered: () => {},
    completed: (code) => void ends.push(code),
    callerGone: () => void ends.push("caller-gone"),
    expired: () => void ends.push("expired"),
  };
  return { call: call as AdmittedCall, ends, told };
}

const clientOf = (route: InProcessRoute, interceptors: readonly Interceptor[], connection: Transport = noConnection) =>
  createClient(Echo, new InProcessTransport({ route: () => route, connection, interceptors }));

/** All of a stream, as far as it comes. */
async function readAll(answers: AsyncIterable<{ readonly text: string }>, seen: string[]): Promise<void> {
  for await (const { text } of answers) seen.push(text);
}

const advance = (ms: number) => vi.advanceTimersByTimeAsync(ms);

test.each([
  { limit: "none", timeoutMs: undefined },
  { limit: "a longer one", timeoutMs: 10_000 },
])("a stream has the time that an interceptor gives it, where the caller's limit is $limit", async ({ timeoutMs }) => {
  const { call, ends, told } = admitted();
  const { route, requests } = startHost(() => call);
  const seen: string[] = [];
  const options = timeoutMs === undefined ? {} : { timeoutMs };
  const outcome = failureOf(readAll(clientOf(route, [gives(50)]).serverStream({}, options), seen));
  await advance(49);
  expect([seen, ends]).toEqual([["first"], []]);
  await advance(1);
  expect((await outcome).code).toBe(Code.DeadlineExceeded);
  expect([ends, told, requests[0]?.timeoutMs]).toEqual([["expired"], [50], 50]);
  expect(vi.getTimerCount()).toBe(0);
});

test("a stream keeps the caller's limit where an interceptor gives it more", async () => {
  const { call, ends, told } = admitted();
  const { route } = startHost(() => call);
  const outcome = failureOf(readAll(clientOf(route, [gives(1_000)]).serverStream({}, { timeoutMs: 50 }), []));
  await advance(50);
  expect((await outcome).code).toBe(Code.DeadlineExceeded);
  expect([ends, told]).toEqual([["expired"], [50]]);
});

test("a stream that waits for a provider leaves when the time of its attempt is over", async () => {
  const { route, left } = startHost(() => admitted().call, new Promise(() => {}));
  const outcome = failureOf(readAll(clientOf(route, [gives(50)]).serverStream({}, { timeoutMs: 1_000 }), []));
  await advance(50);
  expect((await outcome).code).toBe(Code.DeadlineExceeded);
  expect(left).toEqual(["expired"]);
});

test("a stream over its provider's link is reset there when the time of its attempt is over", async () => {
  const resets: number[] = [];
  const linked: LinkedInProcessCall = {
    kind: "linked",
    start(_fields, caller) {
      const stream = { reset: (code: number) => void resets.push(code), send: () => true, end() {}, consume() {} };
      caller.opened(stream as unknown as LinkStream);
      return stream as unknown as LinkStream;
    },
    release: () => {},
  };
  const { route } = startHost(() => linked);
  const outcome = failureOf(readAll(clientOf(route, [gives(50)]).serverStream({}), []));
  await advance(49);
  expect(resets).toEqual([]);
  await advance(1);
  expect((await outcome).code).toBe(Code.DeadlineExceeded);
  expect(resets).toHaveLength(1);
});

/** A connection that answers nothing, and the limits that it was given. */
function recordingConnection() {
  const limits: (number | undefined)[] = [];
  const stream = (async (...[method, signal, timeoutMs]: Parameters<Transport["stream"]>) => {
    limits.push(timeoutMs);
    expect(signal?.aborted).toBe(false);
    const nothing = (async function* () {})();
    const parts = { header: new Headers(), trailer: new Headers() };
    return { stream: true, service: method.parent, method, message: nothing, ...parts };
  }) as Transport["stream"];
  return { limits, connection: { ...noConnection, stream } };
}

test.each([
  { of: "its limit", timeoutMs: 100, interceptors: [], leftMs: 70 },
  { of: "its attempt's time", timeoutMs: 1_000, interceptors: [gives(100)], leftMs: 70 },
  { of: "its attempt's time, without a limit of the caller's", interceptors: [gives(100)], leftMs: 70 },
  { of: "no limit", interceptors: [], leftMs: undefined },
])("a stream that takes a connection after it has waited has there what is left of $of", async (given) => {
  const { limits, connection } = recordingConnection();
  const go = deferred();
  const release = vi.fn();
  const { route } = startHost(() => ({ kind: "detour", provider: undefined, ticket: "t", release }), go.promise);
  const options = given.timeoutMs === undefined ? {} : { timeoutMs: given.timeoutMs };
  const outcome = readAll(clientOf(route, given.interceptors, connection).serverStream({}, options), []);
  await advance(30);
  go.resolve();
  await outcome;
  expect(limits).toEqual([given.leftMs]);
  expect(release).toHaveBeenCalledOnce();
  expect(vi.getTimerCount()).toBe(0);
});

test("each attempt at a stream has what is left of the caller's limit", async () => {
  const { limits, connection } = recordingConnection();
  const { route } = startHost(() => ({ kind: "detour", provider: undefined, ticket: "t", release() {} }));
  const twice: Interceptor = (next) => async (request) => {
    await next(request);
    await new Promise((resolve) => setTimeout(resolve, 40));
    return next(request);
  };
  const outcome = readAll(clientOf(route, [twice], connection).serverStream({}, { timeoutMs: 100 }), []);
  await advance(40);
  await outcome;
  expect(limits).toEqual([100, 60]);
});

test("a time that is no number is refused, whatever the call", async () => {
  const { route, requests } = startHost(() => admitted().call);
  for (const interceptors of [[], [gives(50)]]) {
    const client = clientOf(route, interceptors);
    const options = { timeoutMs: Number.NaN };
    for (const call of [client.say({}, options), readAll(client.serverStream({}, options), [])]) {
      const { code, rawMessage } = await failureOf(call);
      expect([code, rawMessage]).toEqual([Code.InvalidArgument, "timeoutMs must be a number of milliseconds, got NaN"]);
    }
  }
  expect(requests).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
});

test("a part of a millisecond counts as a whole one, and an endless time is none", async () => {
  const { route, requests } = startHost(() => admitted().call);
  const stop = new AbortController();
  const outcomes = [49.2, Number.POSITIVE_INFINITY].map((timeoutMs) =>
    failureOf(readAll(clientOf(route, []).serverStream({}, { timeoutMs, signal: stop.signal }), [])),
  );
  await advance(0);
  expect(requests.map(({ timeoutMs }) => timeoutMs)).toEqual([50, undefined]);
  expect(requests.map((request) => fieldValue(request.headerFields(), "connect-timeout-ms"))).toEqual([
    "50",
    undefined,
  ]);
  stop.abort();
  await Promise.all(outcomes);
});
