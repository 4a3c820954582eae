import { expect, test } from "vitest";
import { IdentityStore } from "../../../src/identity/identity-store.js";
import { manualClock } from "../../support/manual-clock.js";

function openStore() {
  const clock = manualClock();
  const store = new IdentityStore({ clock, tokenTtlMs: 1_000, tokenOverlapMs: 100, maxIdentities: 10 });
  return { clock, store, ...store.issue("logger", "1.0.0") };
}

test("a verifier says what verify says, at each moment of a token's life", () => {
  const { clock, store, runtimeId, token } = openStore();
  const verifier = store.verifier(runtimeId, token);
  const agree = (): boolean => {
    const said = verifier()?.runtimeId;
    expect(said).toBe(store.verify(runtimeId, token)?.runtimeId);
    return said !== undefined;
  };
  expect(agree()).toBe(true);
  store.rotate(runtimeId);
  expect(agree()).toBe(true);
  clock.advance(99);
  expect(agree()).toBe(true);
  clock.advance(1);
  expect(agree()).toBe(false);
});

test("a verifier refuses another token, another id, and what was revoked", () => {
  const { store, runtimeId, token } = openStore();
  expect(store.verifier(runtimeId, `${token}x`)()).toBeUndefined();
  expect(store.verifier("nobody", token)()).toBeUndefined();
  const verifier = store.verifier(runtimeId, token);
  expect(verifier()).toBeDefined();
  store.revoke(runtimeId);
  expect(verifier()).toBeUndefined();
});

test("a verifier's answer is a proof of life, and none comes after the token's time", () => {
  const { clock, store, runtimeId, token } = openStore();
  const verifier = store.verifier(runtimeId, token);
  for (let index = 0; index < 3; index++) {
    clock.advance(900);
    expect(verifier()).toBeDefined();
  }
  clock.advance(1_000);
  expect(verifier()).toBeUndefined();
});

test("a verifier follows an identity that turned out to be another's", () => {
  const { store, runtimeId, token } = openStore();
  const verifier = store.verifier(runtimeId, token);
  const into = store.issue("logger", "1.0.0");
  store.merge(runtimeId, into.runtimeId);
  expect(verifier()?.runtimeId).toBe(into.runtimeId);
});
