import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import type { CallEvent, PlatformOptions } from "../../src/index.js";
import {
  ContractHost,
  type Member,
  PlainProvider,
  type ProtocolName,
  protocolNames,
} from "../support/contract-host.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";

type Headers = Readonly<Record<string, string>>;

interface Scene {
  readonly host: ContractHost;
  readonly provider: PlainProvider;
  readonly owner: Member;
  readonly caller: Member;
}

/** A call that the host refuses, and how. */
interface Refusal {
  readonly condition: string;
  readonly options?: PlatformOptions;
  /** Brings the condition about. */
  readonly prepare?: (scene: Scene) => unknown;
  /** @default the owner's service of the type `echo` */
  readonly path?: (scene: Scene) => string;
  /** @default those of the caller */
  readonly headers?: (scene: Scene) => Headers;
  readonly timeoutMs?: number;
  readonly code: Code;
  readonly status: number;
  readonly message: RegExp;
  readonly retryAfter?: string;
}

const own = ({ owner }: Scene) => `/services/echo/${owner.runtimeId}`;

const refusals: readonly Refusal[] = [
  {
    condition: "a type that is no name",
    path: () => "/services/9/any",
    code: Code.InvalidArgument,
    status: 400,
    message: /path/,
  },
  {
    condition: "an encoded slash",
    path: (scene) => `${own(scene)}/a%2fb`,
    code: Code.InvalidArgument,
    status: 400,
    message: /path/,
  },
  {
    condition: "no identity",
    headers: () => ({}),
    code: Code.Unauthenticated,
    status: 401,
    message: /X-Plugin-Runtime-ID/,
  },
  {
    condition: "a wrong identity",
    headers: ({ caller }) => ({ ...caller.headers, authorization: "Bearer x" }),
    code: Code.Unauthenticated,
    status: 401,
    message: /handshake again/,
  },
  {
    condition: "an unknown provider",
    path: () => "/services/echo/echo-0",
    code: Code.NotFound,
    status: 404,
    message: /echo-0/,
  },
  {
    condition: "an unknown type",
    path: () => "/services/cache/any",
    code: Code.NotFound,
    status: 404,
    message: /no plugin provides/,
  },
  {
    condition: "a type that the provider does not offer",
    path: ({ owner }) => `/services/cache/${owner.runtimeId}`,
    code: Code.NotFound,
    status: 404,
    message: /does not offer cache/,
  },
  {
    condition: "authorize that says no",
    options: {
      authorize: ({ caller }) => (caller.kind === "plugin" && caller.selfId === "caller" ? "not for you" : undefined),
    },
    code: Code.PermissionDenied,
    status: 403,
    message: /^not for you$/,
  },
  {
    condition: "the rate of the caller",
    options: { callerRate: { perSecond: 0.001, burst: 1 } },
    prepare: ({ caller, ...scene }) => caller.call(`${own({ caller, ...scene })}/x`),
    code: Code.ResourceExhausted,
    status: 429,
    message: /more calls/,
    retryAfter: expect.stringMatching(/^\d+$/) as unknown as string,
  },
  {
    condition: "an unhealthy provider",
    prepare: ({ owner }) => owner.report("unhealthy", "no disk"),
    code: Code.Unavailable,
    status: 503,
    message: /unhealthy.*no disk/,
    retryAfter: "1",
  },
  {
    condition: "no provider that is well, for any",
    prepare: ({ owner }) => owner.report("unhealthy", "no disk"),
    path: () => "/services/echo/any",
    code: Code.Unavailable,
    status: 503,
    message: /no disk/,
    retryAfter: "1",
  },
  {
    condition: "a provider that is full",
    options: { router: { maxInFlightPerProvider: 1 } },
    prepare: async (scene) => {
      const { provider, caller } = scene;
      let arrived = (): void => {};
      const reached = new Promise<void>((resolve) => {
        arrived = resolve;
      });
      provider.answers(arrived);
      caller.call(`${own(scene)}/x`).catch(() => {});
      await reached;
    },
    code: Code.Unavailable,
    status: 503,
    message: /as many as it may/,
    retryAfter: "1",
  },
  {
    condition: "a provider without base_url",
    prepare: async ({ host }) => (await host.join("listed")).serve({ serviceType: "listed" }),
    path: () => "/services/listed/any",
    code: Code.Unavailable,
    status: 503,
    message: /base_url/,
    retryAfter: "1",
  },
  {
    condition: "a provider that is not there",
    options: { router: { startGraceMs: 0 } },
    prepare: async ({ provider }) => provider[Symbol.asyncDispose](),
    code: Code.Unavailable,
    status: 502,
    message: /cannot be reached/,
    retryAfter: "1",
  },
  {
    condition: "no answer in time",
    options: { router: { headersTimeoutMs: 50 } },
    prepare: ({ provider }) => provider.answers(() => {}),
    code: Code.Unavailable,
    status: 504,
    message: /within 50 ms/,
    retryAfter: "1",
  },
  {
    condition: "a body over the limit",
    options: { router: { maxBodyBytes: 3 } },
    code: Code.ResourceExhausted,
    status: 413,
    message: /longer than 3 bytes/,
  },
];

async function scene(options: PlatformOptions = {}): Promise<Scene & AsyncDisposable> {
  const provider = await PlainProvider.start();
  const host = await ContractHost.start(options);
  const owner = await host.join("owner");
  await owner.serve({ serviceType: "echo", metadata: { base_url: provider.url, protocols: "h1,h2c" } });
  return {
    host,
    provider,
    owner,
    caller: await host.join("caller"),
    async [Symbol.asyncDispose]() {
      await host[Symbol.asyncDispose]();
      await provider[Symbol.asyncDispose]();
    },
  };
}

const callIn = (host: ContractHost, protocol: ProtocolName, path: string, headers: Headers) =>
  host.client(Echo, { protocol, path, headers });

test.each(refusals.flatMap((refusal) => protocolNames.map((protocol) => ({ protocol, ...refusal }))))(
  "in $protocol $condition is refused with the code, the reason and when to come back",
  async ({ protocol, options, prepare, path = own, headers, code, message, retryAfter }) => {
    await using all = await scene(options);
    await prepare?.(all);
    const to = path(all);
    const client = callIn(all.host, protocol, to, headers?.(all) ?? all.caller.headers);
    const unary = await client.say({ text: "hello" }).catch((error: unknown) => ConnectError.from(error));
    expect(unary).toMatchObject({ code, rawMessage: expect.stringMatching(message) });
    const metadata = (unary as ConnectError).metadata;
    expect(metadata.get("retry-after") ?? undefined).toEqual(retryAfter);
    const streamed = await (async () => {
      for await (const part of client.serverStream({ text: "hello", count: 1 })) return part;
      return undefined;
    })().catch((error: unknown) => ConnectError.from(error));
    expect(streamed).toMatchObject({ code, rawMessage: expect.stringMatching(message) });
    expect(all.host.warnings).toEqual([]);
  },
);

test.each(refusals)(
  "over plain HTTP $condition is $status with a Connect error in JSON, and one event",
  async ({ options, prepare, path = own, headers, code, status, message, retryAfter }) => {
    await using all = await scene(options);
    await prepare?.(all);
    const events: CallEvent[] = [];
    all.host.platform.on("call", (event) => events.push(event));
    const answer = await all.host.raw({
      path: `${path(all)}/x`,
      headers: headers?.(all) ?? all.caller.headers,
      body: "hello",
    });
    expect(answer.status).toBe(status);
    expect(answer.headers["content-type"]).toBe("application/json");
    const name = Code[code]?.replace(/(?!^)([A-Z])/g, "_$1").toLowerCase();
    expect(JSON.parse(answer.text)).toEqual({ code: name, message: expect.stringMatching(message) });
    expect(answer.headers["retry-after"]).toEqual(retryAfter);
    expect(events).toMatchObject([{ status, code: name, outcome: expect.stringMatching(/refused|provider-failed/) }]);
  },
);

test.each(protocolNames)(
  "in %s a deadline that passes is deadline_exceeded, before the host's own limit",
  async (protocol) => {
    await using all = await scene();
    all.provider.answers(() => {});
    const events: CallEvent[] = [];
    const over = new Promise<void>((resolve) => {
      all.host.platform.on("call", (event) => {
        events.push(event);
        resolve();
      });
    });
    const client = callIn(all.host, protocol, own(all), all.caller.headers);
    const error = await client
      .say({ text: "x" }, { timeoutMs: 60 })
      .catch((reason: unknown) => ConnectError.from(reason));
    expect(error).toMatchObject({ code: Code.DeadlineExceeded });
    await over;
    expect(["deadline_exceeded", "canceled"]).toContain(events[0]?.code);
  },
);

/** Conditions in the order of the contract; each row has all that come after it, too. */
test.each([
  { first: "path", path: "/services/9/any/x", bearer: "x", status: 400 },
  { first: "identity", path: "/services/cache/any/x", bearer: "x", status: 401 },
  { first: "unknown", path: "/services/cache/any/x", bearer: undefined, status: 404 },
  { first: "not allowed", path: undefined, bearer: undefined, status: 403, forbid: true },
  { first: "rate", path: undefined, bearer: undefined, status: 429, exhaust: true },
  { first: "health", path: undefined, bearer: undefined, status: 503 },
])("of everything that is wrong, $first is told first", async ({ path, bearer, status, forbid, exhaust }) => {
  const options: PlatformOptions = {
    router: { maxBodyBytes: 1, startGraceMs: 0 },
    callerRate: { perSecond: 0.001, burst: 1 },
    ...(forbid === true && { authorize: ({ caller }) => (caller.kind === "plugin" ? "no" : undefined) }),
  };
  await using all = await scene(options);
  await all.owner.report("unhealthy");
  await all.provider[Symbol.asyncDispose]();
  if (exhaust === true) await all.caller.call(`${own(all)}/x`);
  const headers = bearer === undefined ? {} : { authorization: `Bearer ${bearer}` };
  const answer = await all.caller.call(path ?? `${own(all)}/x`, { headers, body: "too long" });
  expect(answer.status).toBe(status);
});

test("authorize that throws fails the call and nothing else, and is told to the host", async () => {
  await using all = await scene({
    authorize: ({ method }) => {
      if (method.includes("bad")) throw new Error("broken policy");
      return undefined;
    },
  });
  const bad = await all.caller.call(`${own(all)}/bad`);
  expect(bad.status).toBe(500);
  expect(bad.text).not.toContain("broken policy");
  expect(all.host.warnings).toMatchObject([{ error: { message: "broken policy" } }]);
  expect((await all.caller.call(`${own(all)}/good`)).status).toBe(200);
});

test("a redirect of a provider goes to the caller and is not followed", async () => {
  await using all = await scene();
  all.provider.answers((exchange) => exchange.respond(307, ["location", "http://169.254.169.254/"], true));
  const answer = await all.caller.call(`${own(all)}/x`);
  expect(answer).toMatchObject({ status: 307, headers: { location: "http://169.254.169.254/" } });
});

test("a bare method path with X-Plugin-Target is routed; a bad target is refused", async () => {
  await using all = await scene();
  const call = (target: string) => all.caller.call("/echo.v1.Echo/Say?a=1", { headers: { "x-plugin-target": target } });
  expect((await call(`echo/${all.owner.runtimeId}`)).status).toBe(200);
  expect((await call("echo/any")).status).toBe(200);
  expect(all.provider.requests.map(({ url }) => url)).toEqual(["/echo.v1.Echo/Say?a=1", "/echo.v1.Echo/Say?a=1"]);
  for (const target of ["echo", "echo/any/x", "9/any", "echo/a%2fb", ""]) expect((await call(target)).status).toBe(400);
  expect((await call(`cache/${all.owner.runtimeId}`)).status).toBe(404);
});

test("a caller can neither forge who it is, nor do its credentials reach a provider", async () => {
  await using all = await scene();
  await all.caller.call(`${own(all)}/x`, {
    headers: {
      "x-plugin-caller-id": "root",
      "x-plugin-caller-self-id": "root",
      x_plugin_caller_id: "root",
      "x-plugin-service": "root",
      "x-plugin-anything": "root",
      "x-forwarded-for": "10.0.0.1",
      "x-forwarded-host": "evil.example.org",
      "x-forwarded-proto": "https",
      forwarded: "for=10.0.0.1",
      cookie: "own=1",
      "x-own": "stays",
    },
    body: "hello",
  });
  const [seen] = all.provider.requests;
  expect(seen?.headers).toMatchObject({
    "x-plugin-caller-id": all.caller.runtimeId,
    "x-plugin-caller-self-id": "caller",
    "x-plugin-service": "echo",
    "x-forwarded-for": "127.0.0.1",
    "x-forwarded-proto": "http",
    "x-forwarded-host": `127.0.0.1:${all.host.port}`,
    "x-own": "stays",
    host: new URL(all.provider.url).host,
    via: expect.stringContaining("connect-plugin-host"),
    traceparent: expect.stringMatching(/^00-/),
  });
  const text = JSON.stringify(seen);
  expect(text).not.toContain("root");
  expect(text).not.toContain("10.0.0.1");
  expect(seen?.headers).not.toHaveProperty("authorization");
  expect(seen?.headers).not.toHaveProperty("x-plugin-runtime-id");
  expect(text).not.toContain((all.caller.headers.authorization ?? "").slice("Bearer ".length));
});

test("the join prefix does not reach a provider either", async () => {
  await using provider = await PlainProvider.start();
  await using host = await ContractHost.start({ joinToken: "join-token-1" });
  const owner = await host.join("owner");
  await owner.serve({ metadata: { base_url: provider.url } });
  expect((await owner.call("/_join/join-token-1/services/logger/any/x")).status).toBe(200);
  expect(JSON.stringify(provider.requests)).not.toContain("join-token");
});
