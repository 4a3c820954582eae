import { inspect } from "node:util";
import { expect, test } from "vitest";
import { IdentityStore, type IdentityStoreOptions } from "../../../src/identity/identity-store.js";
import { manualClock } from "../../support/manual-clock.js";

const dayMs = 86_400_000;

function store(options: Partial<Omit<IdentityStoreOptions, "clock">> = {}) {
  const clock = manualClock();
  const settings = { tokenTtlMs: dayMs, tokenOverlapMs: 60_000, maxIdentities: 10, ...options };
  return { clock, identities: new IdentityStore({ clock, ...settings }) };
}

test("an identity is the self id in lower case with dashes and hex digits, and a token of 32 random bytes", () => {
  const { identities } = store();
  const { runtimeId, token } = identities.issue("My Log Plugin", "1.2.3");
  expect(runtimeId).toMatch(/^my-log-plugin-[0-9a-f]{16}$/);
  expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/);
  expect(identities.verify(runtimeId, token)).toMatchObject({
    runtimeId,
    selfId: "My Log Plugin",
    selfVersion: "1.2.3",
  });
});

test("no two identities of the same self id are alike", () => {
  const { identities } = store({ maxIdentities: 1_000 });
  const issued = Array.from({ length: 200 }, () => identities.issue("a", ""));
  expect(new Set(issued.map(({ runtimeId }) => runtimeId)).size).toBe(200);
  expect(new Set(issued.map(({ token }) => token)).size).toBe(200);
});

test("no token is kept, only what cannot be turned back", () => {
  const { identities } = store();
  const { runtimeId, token } = identities.issue("a", "");
  const renewed = identities.rotate(runtimeId) ?? "";
  const seen = [inspect(identities, { depth: 9, showHidden: true }), JSON.stringify(identities.get(runtimeId))].join();
  expect(seen).not.toContain(token);
  expect(seen).not.toContain(renewed);
});

test.each([
  { what: "somebody else's token", give: ({ other }: Given) => other.token },
  { what: "a token that was never issued", give: () => "x".repeat(43) },
  { what: "an empty token", give: () => "" },
  { what: "a token with something behind it", give: ({ own }: Given) => `${own.token}x` },
  { what: "half a token", give: ({ own }: Given) => own.token.slice(0, 20) },
])("$what is not good", ({ give }) => {
  const { identities } = store();
  const own = identities.issue("a", "");
  const other = identities.issue("b", "");
  expect(identities.verify(own.runtimeId, give({ own, other }))).toBeUndefined();
});

interface Given {
  readonly own: { readonly token: string };
  readonly other: { readonly token: string };
}

test("a runtime id that does not exist is good with no token", () => {
  const { identities } = store();
  const { token } = identities.issue("a", "");
  expect(identities.verify("a-0000", token)).toBeUndefined();
});

test("after a rotation both tokens are good for the overlap, then only the new one", () => {
  const { clock, identities } = store({ tokenOverlapMs: 60_000 });
  const { runtimeId, token } = identities.issue("a", "");
  const renewed = identities.rotate(runtimeId) ?? "";
  clock.advance(59_999);
  expect(identities.verify(runtimeId, token)).toBeDefined();
  expect(identities.verify(runtimeId, renewed)).toBeDefined();
  clock.advance(1);
  expect(identities.verify(runtimeId, token)).toBeUndefined();
  expect(identities.verify(runtimeId, renewed)).toBeDefined();
});

test("a second rotation does not give the oldest token more time", () => {
  const { clock, identities } = store({ tokenOverlapMs: 60_000 });
  const { runtimeId, token } = identities.issue("a", "");
  identities.rotate(runtimeId);
  clock.advance(50_000);
  identities.rotate(runtimeId);
  clock.advance(10_000);
  expect(identities.verify(runtimeId, token)).toBeUndefined();
});

test("without an overlap the old token dies at once", () => {
  const { identities } = store({ tokenOverlapMs: 0 });
  const { runtimeId, token } = identities.issue("a", "");
  identities.rotate(runtimeId);
  expect(identities.verify(runtimeId, token)).toBeUndefined();
});

test("who renews all the time has no more than a few good tokens", () => {
  const { identities } = store();
  const { runtimeId, token } = identities.issue("a", "");
  const tokens = [token, ...Array.from({ length: 100 }, () => identities.rotate(runtimeId) ?? "")];
  const good = tokens.filter((one) => identities.verify(runtimeId, one) !== undefined);
  expect(good).toEqual(tokens.slice(-16));
});

test("nobody can rotate the token of an identity that does not exist", () => {
  expect(store().identities.rotate("a-0000")).toBeUndefined();
});

test.each([
  {
    proof: "a call with the token",
    prove: ({ identities, runtimeId, token }: Proof) => identities.verify(runtimeId, token),
  },
  { proof: "a sign of life", prove: ({ identities, runtimeId }: Proof) => identities.proveAlive(runtimeId) },
])("a token's life counts from the last $proof", ({ prove }) => {
  const { clock, identities } = store({ tokenTtlMs: 1_000 });
  const { runtimeId, token } = identities.issue("a", "");
  for (let times = 0; times < 5; times++) {
    clock.advance(999);
    prove({ identities, runtimeId, token });
  }
  clock.advance(999);
  expect(identities.expire()).toEqual([]);
  expect(identities.verify(runtimeId, token)).toBeDefined();
});

interface Proof {
  readonly identities: IdentityStore;
  readonly runtimeId: string;
  readonly token: string;
}

test("a call with a wrong token proves nothing", () => {
  const { clock, identities } = store({ tokenTtlMs: 1_000 });
  const { runtimeId, token } = identities.issue("a", "");
  clock.advance(999);
  identities.verify(runtimeId, "wrong");
  clock.advance(1);
  expect(identities.verify(runtimeId, token)).toBeUndefined();
});

test("an expired identity is forgotten by expire, which tells it once", () => {
  const { clock, identities } = store({ tokenTtlMs: 1_000 });
  const old = identities.issue("a", "");
  clock.advance(500);
  const young = identities.issue("b", "");
  clock.advance(500);
  expect(identities.expire()).toEqual([old.runtimeId]);
  expect(identities.expire()).toEqual([]);
  expect(identities.get(old.runtimeId)).toBeUndefined();
  expect(identities.get(young.runtimeId)).toBeDefined();
});

test("at the limit no identity is issued, and those that exist stay good", () => {
  const { identities } = store({ maxIdentities: 2 });
  const first = identities.issue("a", "");
  identities.issue("b", "");
  expect(() => identities.issue("c", "")).toThrow(expect.objectContaining({ code: "LIMIT_REACHED" }));
  expect(identities.size).toBe(2);
  expect(identities.verify(first.runtimeId, first.token)).toBeDefined();
});

test("expired identities make room at the limit, and expire tells of them later", () => {
  const { clock, identities } = store({ maxIdentities: 1, tokenTtlMs: 1_000 });
  const old = identities.issue("a", "");
  clock.advance(1_000);
  expect(() => identities.issue("b", "")).not.toThrow();
  expect(identities.expire()).toEqual([old.runtimeId]);
});

test("a revoked identity is good with none of its tokens", () => {
  const { identities } = store();
  const { runtimeId, token } = identities.issue("a", "");
  const renewed = identities.rotate(runtimeId) ?? "";
  identities.revoke(runtimeId);
  identities.revoke(runtimeId);
  expect(identities.verify(runtimeId, token)).toBeUndefined();
  expect(identities.verify(runtimeId, renewed)).toBeUndefined();
  expect(identities.size).toBe(0);
});

test("merged identities are one: both ids and tokens lead to the second", () => {
  const { identities } = store();
  const own = identities.issue("a", "");
  const kept = identities.issue("a", "");
  identities.merge(own.runtimeId, kept.runtimeId);
  for (const id of [own.runtimeId, kept.runtimeId]) {
    for (const token of [own.token, kept.token]) expect(identities.verify(id, token)?.runtimeId).toBe(kept.runtimeId);
  }
  expect(identities.size).toBe(1);
});

test("merging goes on through several identities, and revoking the last ends all", () => {
  const { identities } = store();
  const [a, b, c] = [identities.issue("x", ""), identities.issue("x", ""), identities.issue("x", "")];
  identities.merge(a.runtimeId, b.runtimeId);
  identities.merge(b.runtimeId, c.runtimeId);
  expect(identities.verify(a.runtimeId, a.token)?.runtimeId).toBe(c.runtimeId);
  identities.revoke(a.runtimeId);
  for (const { runtimeId, token } of [a, b, c]) expect(identities.verify(runtimeId, token)).toBeUndefined();
});

test("a merged identity lives from the last sign of life of either", () => {
  const { clock, identities } = store({ tokenTtlMs: 1_000 });
  const kept = identities.issue("a", "");
  clock.advance(900);
  const own = identities.issue("a", "");
  identities.merge(own.runtimeId, kept.runtimeId);
  clock.advance(900);
  expect(identities.verify(kept.runtimeId, kept.token)).toBeDefined();
});

test("merging an identity with itself or with none changes nothing", () => {
  const { identities } = store();
  const { runtimeId, token } = identities.issue("a", "");
  identities.merge(runtimeId, runtimeId);
  identities.merge(runtimeId, "a-0000");
  identities.merge("a-0000", runtimeId);
  expect(identities.verify(runtimeId, token)?.runtimeId).toBe(runtimeId);
});
