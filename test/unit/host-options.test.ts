import { expect, test } from "vitest";
import { Platform } from "../../src/index.js";
import { resolveLimits } from "../../src/limit-options.js";
import { type PlatformOptions, resolveOptions } from "../../src/options.js";

/** Options as a caller without types may give them. */
const given = (options: unknown): PlatformOptions => options as PlatformOptions;

const ingress = (one: object) => ({ ingress: [{ prefix: "/", type: "web", access: "open", ...one }] });

test.each<{ options: unknown; field: string }>([
  { options: null, field: "options" },
  { options: [], field: "options" },
  { options: "x", field: "options" },
  { options: { joinTokn: "12345678" }, field: "joinTokn" },
  { options: { publicUrl: "not a url" }, field: "publicUrl" },
  { options: { publicUrl: 5 }, field: "publicUrl" },
  { options: { publicUrl: "ftp://example.org" }, field: "publicUrl" },
  { options: { publicUrl: "http://example.org/?a" }, field: "publicUrl" },
  { options: { publicUrl: "http://example.org/#a" }, field: "publicUrl" },
  { options: { publicUrl: "http://u:p@example.org" }, field: "publicUrl" },
  { options: { joinToken: "short" }, field: "joinToken" },
  { options: { joinToken: "with/slash/in/it" }, field: "joinToken" },
  { options: { joinToken: 12345678 }, field: "joinToken" },
  { options: { adminToken: "too-short" }, field: "adminToken" },
  { options: { adminToken: "with a space in the token" }, field: "adminToken" },
  { options: { allowOpenAdmission: "false" }, field: "allowOpenAdmission" },
  { options: { allowOpenAdmission: 1 }, field: "allowOpenAdmission" },
  { options: { magicCookie: "x" }, field: "magicCookie" },
  { options: { magicCookie: { key: "", value: "v" } }, field: "magicCookie.key" },
  { options: { magicCookie: { key: "k" } }, field: "magicCookie.value" },
  { options: { appProtocolVersion: -1 }, field: "appProtocolVersion" },
  { options: { appProtocolVersion: 1.5 }, field: "appProtocolVersion" },
  { options: { appProtocolVersion: "1" }, field: "appProtocolVersion" },
  { options: { appProtocolVersion: 2 ** 31 }, field: "appProtocolVersion" },
  { options: { tokenTtlMs: 0 }, field: "tokenTtlMs" },
  { options: { tokenTtlMs: Number.NaN }, field: "tokenTtlMs" },
  { options: { tokenOverlapMs: -1 }, field: "tokenOverlapMs" },
  { options: { maxIdentities: 0 }, field: "maxIdentities" },
  { options: { maxRegistrationsPerPlugin: 0 }, field: "maxRegistrationsPerPlugin" },
  { options: { aliasLifeMs: -1 }, field: "aliasLifeMs" },
  { options: { baseUrls: "all" }, field: "baseUrls" },
  { options: { health: null }, field: "health" },
  { options: { health: { interval: 5 } }, field: "health.interval" },
  { options: { health: { intervalMs: 0 } }, field: "health.intervalMs" },
  { options: { health: { timeoutMs: "1s" } }, field: "health.timeoutMs" },
  { options: { health: { retryMs: 0 } }, field: "health.retryMs" },
  { options: { health: { startGraceMs: -1 } }, field: "health.startGraceMs" },
  { options: { health: { fallThreshold: 0 } }, field: "health.fallThreshold" },
  { options: { health: { riseThreshold: 0 } }, field: "health.riseThreshold" },
  { options: { health: { ejectAfterFailures: 0 } }, field: "health.ejectAfterFailures" },
  { options: { health: { ejectMs: 0 } }, field: "health.ejectMs" },
  { options: { health: { maxEjectMs: 0 } }, field: "health.maxEjectMs" },
  { options: { limits: null }, field: "limits" },
  { options: { limits: { drain: 5 } }, field: "limits.drain" },
  { options: { limits: { describeMs: -1 } }, field: "limits.describeMs" },
  { options: { limits: { connectGraceMs: -1 } }, field: "limits.connectGraceMs" },
  { options: { limits: { identifyMs: -1 } }, field: "limits.identifyMs" },
  { options: { limits: { healthMs: -1 } }, field: "limits.healthMs" },
  { options: { limits: { graceMs: -1 } }, field: "limits.graceMs" },
  { options: { limits: { drainMs: "5s" } }, field: "limits.drainMs" },
  { options: { limits: { shutdownMs: -1 } }, field: "limits.shutdownMs" },
  { options: { router: null }, field: "router" },
  { options: { router: { headerTimeoutMs: 1 } }, field: "router.headerTimeoutMs" },
  { options: { router: { headersTimeoutMs: 0 } }, field: "router.headersTimeoutMs" },
  { options: { router: { connectTimeoutMs: 0 } }, field: "router.connectTimeoutMs" },
  { options: { router: { maxBodyBytes: -1 } }, field: "router.maxBodyBytes" },
  { options: { router: { publicHost: "a b" } }, field: "router.publicHost" },
  { options: { router: { trustedProxies: "10.0.0.1" } }, field: "router.trustedProxies" },
  { options: { router: { trustedProxies: ["proxy.example.org"] } }, field: "router.trustedProxies" },
  { options: { router: { stripUserCredentials: "no" } }, field: "router.stripUserCredentials" },
  { options: { router: { viaName: "a b" } }, field: "router.viaName" },
  { options: { server: null }, field: "server" },
  { options: { server: { requestTimeoutMs: 1 } }, field: "server.requestTimeoutMs" },
  { options: { server: { firstByteTimeoutMs: 0 } }, field: "server.firstByteTimeoutMs" },
  { options: { server: { headersTimeoutMs: 0 } }, field: "server.headersTimeoutMs" },
  { options: { server: { keepAliveTimeoutMs: 0 } }, field: "server.keepAliveTimeoutMs" },
  { options: { server: { maxHeaderBytes: 1 } }, field: "server.maxHeaderBytes" },
  { options: { server: { maxHeaderCount: 0 } }, field: "server.maxHeaderCount" },
  { options: { server: { maxUrlBytes: 1.5 } }, field: "server.maxUrlBytes" },
  { options: { server: { maxConcurrentStreams: 0 } }, field: "server.maxConcurrentStreams" },
  { options: { server: { streamWindowBytes: 1 } }, field: "server.streamWindowBytes" },
  { options: { server: { connectionWindowBytes: 1 } }, field: "server.connectionWindowBytes" },
  { options: { server: { dropMaxBytes: -1 } }, field: "server.dropMaxBytes" },
  { options: { server: { dropTimeoutMs: -1 } }, field: "server.dropTimeoutMs" },
  { options: { ingress: {} }, field: "ingress" },
  { options: { ingress: [null] }, field: "ingress[0]" },
  { options: ingress({ prefix: "api" }), field: "ingress[0].prefix" },
  { options: ingress({ prefix: "/a b" }), field: "ingress[0].prefix" },
  { options: ingress({ prefix: "/a/../b" }), field: "ingress[0].prefix" },
  { options: ingress({ prefix: "/%41" }), field: "ingress[0].prefix" },
  { options: ingress({ prefix: 5 }), field: "ingress[0].prefix" },
  { options: ingress({ type: "" }), field: "ingress[0].type" },
  { options: ingress({ type: "9" }), field: "ingress[0].type" },
  { options: ingress({ access: "closed" }), field: "ingress[0].access" },
  { options: ingress({ auth: "open" }), field: "ingress[0].auth" },
  {
    options: { ingress: [...ingress({ prefix: "/a" }).ingress, ...ingress({ prefix: "/a/" }).ingress] },
    field: "ingress[1].prefix",
  },
  { options: { authorize: "all" }, field: "authorize" },
  { options: { capabilities: {} }, field: "capabilities" },
  { options: { grants: null }, field: "grants" },
  { options: { grants: { ttl: 1 } }, field: "grants.ttl" },
  { options: { grants: { ttlMs: 0 } }, field: "grants.ttlMs" },
  { options: { grants: { maxPerPlugin: 0 } }, field: "grants.maxPerPlugin" },
  { options: { grants: { allowAnonymous: "no" } }, field: "grants.allowAnonymous" },
  { options: { callerRate: 5 }, field: "callerRate" },
  { options: { callerRate: { perSecond: 0, burst: 1 } }, field: "callerRate.perSecond" },
  { options: { callerRate: { perSecond: 1 } }, field: "callerRate.burst" },
  { options: { stopBudgetMs: -1 }, field: "stopBudgetMs" },
  { options: { clock: {} }, field: "clock" },
])("$options is refused by the name $field", ({ options, field }) => {
  expect(() => new Platform(given(options))).toThrow(
    expect.objectContaining({
      code: "INVALID_ARGUMENT",
      field,
      message: expect.stringMatching(new RegExp(`^${field.replace(/[[\].]/g, "\\$&")} `)),
    }),
  );
});

test("a secret that is refused is not shown", () => {
  for (const options of [{ joinToken: "s3cret!" }, { adminToken: "s3cret!" }]) {
    expect(() => resolveOptions(given(options))).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining("s3cret!") }),
    );
  }
});

/** Freezes everything in it, so that whoever writes there throws. */
function frozen<T>(value: T): T {
  if (typeof value === "object" && value !== null)
    for (const inner of Object.values(Object.freeze(value))) frozen(inner);
  return value;
}

test("the caller's object is neither written to nor frozen nor looked at again", () => {
  const options = {
    magicCookie: { key: "K", value: "v" },
    callerRate: { perSecond: 1, burst: 1 },
    router: { viaName: "a" },
    ingress: [
      { prefix: "/short", type: "a", access: "open" as const },
      { prefix: "/much/longer", type: "b", access: "open" as const },
    ],
  };
  const resolved = resolveOptions(options);
  options.magicCookie.value = "other";
  options.callerRate.burst = 99;
  options.router.viaName = "b";
  options.ingress.pop();
  expect(resolved).toMatchObject({
    magicCookie: { value: "v" },
    callerRate: { burst: 1 },
    router: { viaName: "a" },
    ingress: [{ prefix: "/much/longer" }, { prefix: "/short" }],
  });
  expect(() => resolveOptions(frozen({ ...options, health: {}, limits: {}, server: {} }))).not.toThrow();
});

test("what comes out is frozen, with every default filled in", () => {
  const resolved = resolveOptions({});
  expect(Object.isFrozen(resolved)).toBe(true);
  expect(Object.isFrozen(resolved.health) && Object.isFrozen(resolved.limits)).toBe(true);
  expect(resolved).toMatchObject({
    publicUrl: undefined,
    joinToken: undefined,
    allowOpenAdmission: false,
    magicCookie: { key: "CONNECT_PLUGIN", value: "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e" },
    appProtocolVersion: 1,
    tokenTtlMs: 86_400_000,
    baseUrls: "peer-or-loopback",
    ingress: [],
    limits: { graceMs: 5_000 },
  });
});

test.each([
  { url: "https://plugins.example.org/host/", clean: "https://plugins.example.org/host" },
  { url: "http://plugins.example.org:80", clean: "http://plugins.example.org" },
  { url: "http://[::1]:4000//", clean: "http://[::1]:4000" },
])("the public URL $url is handed out as $clean", ({ url, clean }) => {
  expect(resolveOptions({ publicUrl: url }).publicUrl).toBe(clean);
});

test("an exposed prefix loses the slash at its end, and / becomes empty", () => {
  const { ingress: resolved } = resolveOptions(
    given({ ingress: [...ingress({}).ingress, ...ingress({ prefix: "/api/" }).ingress] }),
  );
  expect(resolved.map(({ prefix }) => prefix)).toEqual(["/api", ""]);
});

test("limits of one operation take the rest from those of the platform", () => {
  const base = resolveLimits("limits", { graceMs: 1, drainMs: 2 });
  expect(resolveLimits("limits", { drainMs: 3 }, base)).toMatchObject({ graceMs: 1, drainMs: 3, healthMs: 30_000 });
});
