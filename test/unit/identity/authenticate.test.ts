import { expect, test } from "vitest";
import { createAuthenticator } from "../../../src/identity/authenticate.js";
import type { Credentials } from "../../../src/identity/credentials.js";
import { IdentityStore } from "../../../src/identity/identity-store.js";
import { manualClock } from "../../support/manual-clock.js";

const identities = new IdentityStore({ clock: manualClock(), tokenTtlMs: 1e9, tokenOverlapMs: 0, maxIdentities: 10 });
const own = identities.issue("logger", "1.0.0");
const other = identities.issue("cache", "1.0.0");
const joinToken = "join-token-1";
const adminToken = "admin-token-of-24-letters";
const authenticate = createAuthenticator({
  identities,
  launchOf: (nonce) => (nonce === "n1" ? "launch-1" : undefined),
  joinToken,
  adminToken,
});

const none: Credentials = { runtimeId: undefined, bearer: undefined, launchNonce: undefined, joinToken: undefined };
const plugin = { kind: "plugin", runtimeId: own.runtimeId, selfId: "logger" };

test.each<{ what: string; given: Partial<Credentials>; principal: object }>([
  { what: "nothing", given: {}, principal: { kind: "anonymous" } },
  { what: "a good identity", given: { runtimeId: own.runtimeId, bearer: own.token }, principal: plugin },
  {
    what: "a good identity under a launch prefix",
    given: { runtimeId: own.runtimeId, bearer: own.token, launchNonce: "n1" },
    principal: plugin,
  },
  {
    what: "a good identity under a join prefix",
    given: { runtimeId: own.runtimeId, bearer: own.token, joinToken: "whatever" },
    principal: plugin,
  },
  {
    what: "a launch that is under way",
    given: { launchNonce: "n1" },
    principal: { kind: "launch", launchId: "launch-1" },
  },
  { what: "the join token in the path", given: { joinToken }, principal: { kind: "join" } },
  { what: "the join token as bearer", given: { bearer: joinToken }, principal: { kind: "join" } },
  { what: "the admin token as bearer", given: { bearer: adminToken }, principal: { kind: "admin" } },
])("$what is $principal.kind", ({ given, principal }) => {
  expect(authenticate({ ...none, ...given })).toEqual({ kind: "principal", principal });
});

const anonymous = { kind: "anonymous" };

test.each<{ what: string; given: Partial<Credentials>; otherwise: object; reason: RegExp }>([
  { what: "no token", given: { runtimeId: own.runtimeId }, otherwise: anonymous, reason: /without a runtime token/ },
  {
    what: "a wrong token",
    given: { runtimeId: own.runtimeId, bearer: "x" },
    otherwise: anonymous,
    reason: /unknown, expired/,
  },
  {
    what: "another plugin's token",
    given: { runtimeId: own.runtimeId, bearer: other.token },
    otherwise: anonymous,
    reason: /unknown, expired/,
  },
  {
    what: "an id of nobody and the join token in the path",
    given: { runtimeId: "x-1", bearer: own.token, joinToken },
    otherwise: { kind: "join" },
    reason: /handshake again/,
  },
  {
    what: "an id of nobody and the join token as bearer",
    given: { runtimeId: "x-1", bearer: joinToken },
    otherwise: { kind: "join" },
    reason: /handshake again/,
  },
  {
    what: "an id of nobody under a launch prefix",
    given: { runtimeId: "x-1", bearer: own.token, launchNonce: "n1" },
    otherwise: { kind: "launch", launchId: "launch-1" },
    reason: /handshake again/,
  },
  { what: "an unknown launch", given: { launchNonce: "n2" }, otherwise: anonymous, reason: /launch in the path/ },
  { what: "a wrong join token", given: { joinToken: "join-token-2" }, otherwise: anonymous, reason: /neither/ },
  { what: "the admin token in the path", given: { joinToken: adminToken }, otherwise: anonymous, reason: /neither/ },
  {
    what: "a runtime token without its id",
    given: { bearer: own.token },
    otherwise: anonymous,
    reason: /X-Plugin-Runtime-ID/,
  },
])("$what is refused", ({ given, otherwise, reason }) => {
  expect(authenticate({ ...none, ...given })).toEqual({
    kind: "refused",
    reason: expect.stringMatching(reason),
    otherwise,
  });
});

test("a host without a join token takes none", () => {
  const closed = createAuthenticator({ identities, launchOf: () => undefined, joinToken: undefined });
  expect(closed({ ...none, bearer: "undefined" })).toMatchObject({ kind: "refused" });
  expect(closed({ ...none, joinToken: "undefined" })).toMatchObject({ kind: "refused" });
});

test("no reason repeats a secret", () => {
  for (const given of [{ bearer: "s3cret" }, { runtimeId: own.runtimeId, bearer: "s3cret" }, { joinToken: "s3cret" }]) {
    expect(JSON.stringify(authenticate({ ...none, ...given }))).not.toContain("s3cret");
  }
});
