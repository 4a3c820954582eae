import { describe, expect, test } from "vitest";
import { type DecideOptions, type DecideRequest, decide } from "../../../src/router/decide.js";
import { FakeView, pluginCaller, pluginRecord } from "../../support/router-host.js";

const options: DecideOptions = {
  maxBodyBytes: 100,
  maxInFlightPerProvider: 1,
  retryAfterMs: 1_500,
  basePathOf: () => "",
};
const health = {
  state: "unhealthy",
  cause: "polled",
  reason: "disk full",
  since: 0,
  unavailableDependencies: [],
} as const;

type Call = { request: { -readonly [K in keyof DecideRequest]: DecideRequest[K] }; view: FakeView };

function goodCall(runtimeId?: string): Call {
  const view = new FakeView();
  view.add(pluginRecord());
  const target = { kind: "target", serviceType: "logger", runtimeId, rest: "Log", query: "?q" } as const;
  return { view, request: { target, caller: pluginCaller, contentLength: 10 } };
}

const decided = ({ request, view }: Call) => decide(request, view, options);

/** The rows of the wire contract's table, in its order: each makes a good call bad in one way. */
const faults: readonly { name: string; code: string; status: number; retry: boolean; apply: (call: Call) => void }[] = [
  {
    name: "bad path",
    code: "invalid_argument",
    status: 400,
    retry: false,
    apply: ({ request }) => {
      request.target = { kind: "bad-path", reason: "r" };
    },
  },
  {
    name: "no identity",
    code: "unauthenticated",
    status: 401,
    retry: false,
    apply: ({ request }) => {
      request.caller = { refused: "expired" };
    },
  },
  {
    name: "unknown provider",
    code: "not_found",
    status: 404,
    retry: false,
    apply: ({ request }) => {
      request.target = { ...request.target, serviceType: "nothing" } as never;
    },
  },
  {
    name: "not declared",
    code: "permission_denied",
    status: 403,
    retry: false,
    apply: ({ view }) => {
      view.missing = "not declared";
    },
  },
  {
    name: "not allowed",
    code: "permission_denied",
    status: 403,
    retry: false,
    apply: ({ view }) => {
      view.forbidden = "no";
    },
  },
  {
    name: "rate",
    code: "resource_exhausted",
    status: 429,
    retry: true,
    apply: ({ view }) => {
      view.waitMs = 250;
    },
  },
  {
    name: "unhealthy",
    code: "unavailable",
    status: 503,
    retry: true,
    apply: ({ view }) => {
      for (const provider of view.providers) provider.plugin = { ...provider.plugin, health };
    },
  },
  {
    name: "body over the limit",
    code: "resource_exhausted",
    status: 413,
    retry: false,
    apply: ({ request }) => {
      request.contentLength = 101;
    },
  },
];

describe.each([{ id: "logger-1" }, { id: undefined }])("a call to $id", ({ id }) => {
  test.each(faults)("with $name is $code, $status", ({ code, status, retry, apply }) => {
    const call = goodCall(id);
    apply(call);
    const decision = decided(call);
    expect(decision).toMatchObject({ kind: "refuse", code, httpStatus: status });
    expect((decision as { retryAfterMs?: number }).retryAfterMs !== undefined).toBe(retry);
  });

  test("with several faults is refused for the first of the table", () => {
    for (let first = 0; first < faults.length; first++) {
      const call = goodCall(id);
      // A type without provider hides who would be asked further down, so it stands alone.
      // Where any provider will do and all are unhealthy, there is none to be forbidden.
      const others = faults.slice(first).filter(({ name }, at) => {
        if (name === "unknown provider") return at === 0;
        return name !== "unhealthy" || id !== undefined || faults[first]?.name !== "not allowed";
      });
      for (const fault of others) fault.apply(call);
      expect(decided(call)).toMatchObject({ kind: "refuse", httpStatus: faults[first]?.status });
    }
  });

  test("goes on if nothing is wrong", () => {
    expect(decided(goodCall(id))).toMatchObject({
      kind: "forward",
      upstreamPath: "/Log?q",
      method: "/Log",
      serviceType: "logger",
      pinned: id !== undefined,
      registration: { registrationId: "reg-1" },
    });
  });
});

test.each([
  { caller: { kind: "host" }, ok: true },
  { caller: { kind: "ingress", user: undefined }, ok: true },
  { caller: { kind: "anonymous" }, ok: false },
  { caller: { kind: "launch", launchId: "l" }, ok: false },
  { caller: { kind: "join" }, ok: false },
  { caller: { refused: "wrong token" }, ok: false },
] as const)("a caller $caller may route: $ok", ({ caller, ok }) => {
  const call = goodCall("logger-1");
  call.request.caller = caller;
  const decision = decided(call);
  expect(decision.kind).toBe(ok ? "forward" : "refuse");
  if (!ok) expect(decision).toMatchObject({ code: "unauthenticated", httpStatus: 401 });
});

test.each([
  { given: { phase: { kind: "leaving", reason: "removed" } }, ok: true, says: "" },
  { given: { phase: { kind: "draining", reason: "removed" } }, ok: false, says: "draining: removed" },
  { given: { health: { ...health, state: "degraded" } }, ok: true, says: "" },
  { given: { health: { ...health, state: "unready" } }, ok: false, says: "unready: disk full" },
  { given: { health }, ok: false, says: "unhealthy: disk full" },
  { given: { address: { kind: "external" } }, ok: false, says: "no base_url" },
] as const)("a call that names a provider with $given passes: $ok", ({ given, ok, says }) => {
  const view = new FakeView();
  view.add(pluginRecord(given));
  const decision = decided({ request: goodCall("logger-1").request, view });
  expect(decision.kind).toBe(ok ? "forward" : "refuse");
  if (!ok)
    expect(decision).toMatchObject({
      code: "unavailable",
      httpStatus: 503,
      reason: expect.stringContaining(says),
      retryAfterMs: 1_500,
    });
});

test("a provider with as many calls as it may have is unavailable, but not to a call that it has already", () => {
  const call = goodCall("logger-1");
  call.view.providers[0]?.inFlight.enter({ abort: () => {} });
  expect(decided(call)).toMatchObject({
    code: "unavailable",
    httpStatus: 503,
    reason: expect.stringContaining("1 calls"),
  });
  call.request.retry = { exclude: undefined };
  expect(decided(call).kind).toBe("forward");
});

test("a call that is tried again goes to another provider and does not count twice for the rate", () => {
  const call = goodCall();
  call.view.add(pluginRecord({ runtimeId: "logger-2" }));
  call.view.waitMs = 1_000;
  call.request.retry = { exclude: new Set(["logger-1"]) };
  expect(decided(call)).toMatchObject({ kind: "forward", provider: { plugin: { runtimeId: "logger-2" } } });
});

test("what a plugin did not declare is refused as such, also while no provider can take it", () => {
  const call = goodCall();
  for (const provider of call.view.providers) provider.plugin = { ...provider.plugin, health };
  call.view.missing = "not declared";
  expect(decided(call)).toMatchObject({ kind: "refuse", code: "permission_denied", reason: "not declared" });
});
