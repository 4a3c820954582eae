import { expect, test } from "vitest";
import { LaunchNonces } from "../../../src/launch/launch-nonces.js";

test("a nonce names its launch until that is revoked", () => {
  const nonces = new LaunchNonces();
  const one = nonces.issue();
  const other = nonces.issue();
  expect(nonces.launchOf(one.nonce)).toBe(one.launchId);
  expect(nonces.launchOf(other.nonce)).toBe(other.launchId);
  expect(one.launchId).not.toBe(other.launchId);
  one.revoke();
  expect(nonces.launchOf(one.nonce)).toBeUndefined();
  expect(nonces.launchOf(other.nonce)).toBe(other.launchId);
});

test("a nonce fits in a path and cannot be guessed", () => {
  expect(new LaunchNonces().issue().nonce).toMatch(/^[\w-]{43}$/);
});
