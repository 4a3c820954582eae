import { expect, test } from "vitest";
import { GrantStore } from "../../../src/capabilities/grant-store.js";
import { manualClock } from "../../support/manual-clock.js";

function start(options: { ttlMs?: number; maxPerOwner?: number } = {}) {
  const clock = manualClock();
  return { clock, store: new GrantStore<string>({ clock, ttlMs: 1_000, maxPerOwner: 3, ...options }) };
}

test("a grant is good for its own token only", () => {
  const { store } = start();
  const one = store.issue("app-1", "mail");
  const other = store.issue("app-1", "print");

  expect(store.verify(one.grantId, one.token)).toBe("mail");
  expect(store.verify(other.grantId, other.token)).toBe("print");
  expect(store.verify(one.grantId, other.token)).toBeUndefined();
  expect(store.verify(one.grantId, "")).toBeUndefined();
  expect(store.verify(one.grantId, `${one.token}x`)).toBeUndefined();
  expect(store.verify("grant-0", one.token)).toBeUndefined();
});

test("a grant's id and token are too long to guess", () => {
  const { store } = start();
  const { grantId, token } = store.issue("app-1", "mail");

  expect(grantId).toMatch(/^grant-[0-9a-f]{16}$/);
  expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/);
});

test("a grant ends when its time is over", () => {
  const { clock, store } = start();
  const { grantId, token } = store.issue("app-1", "mail");

  clock.advance(999);
  expect(store.verify(grantId, token)).toBe("mail");
  clock.advance(1);
  expect(store.verify(grantId, token)).toBeUndefined();
  expect(store.size).toBe(0);
});

test("an owner has no more grants than it may, and those that have ended do not count", () => {
  const { clock, store } = start();
  for (let count = 0; count < 3; count++) store.issue("app-1", "mail");

  expect(() => store.issue("app-1", "mail")).toThrow(expect.objectContaining({ code: "LIMIT_REACHED" }));
  store.issue("app-2", "mail");
  clock.advance(1_000);
  expect(() => store.issue("app-1", "mail")).not.toThrow();
});

test("the grants of one owner, or for one use, can be taken back; others stay", () => {
  const { store } = start();
  const kept = store.issue("app-1", "mail");
  const ofOther = store.issue("app-2", "mail");
  const forOther = store.issue("app-1", "print");

  store.revokeOwner("app-2");
  store.revokeWhere((use) => use === "print");

  expect(store.verify(ofOther.grantId, ofOther.token)).toBeUndefined();
  expect(store.verify(forOther.grantId, forOther.token)).toBeUndefined();
  expect(store.verify(kept.grantId, kept.token)).toBe("mail");
});

test("what has ended is forgotten by a sweep, and nothing else", () => {
  const { clock, store } = start();
  store.issue("app-1", "mail");
  clock.advance(600);
  store.issue("app-1", "mail");
  clock.advance(600);

  store.sweep();

  expect(store.size).toBe(1);
});
