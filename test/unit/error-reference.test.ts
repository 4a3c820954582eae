import { readFileSync } from "node:fs";
import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { type ErrorCode, errorCodes } from "../../src/errors.js";
import { rpcCodes } from "../../src/rpc/codes.js";

const text = readFileSync(new URL("../../docs/reference/errors.md", import.meta.url), "utf8");
const rows = [...text.matchAll(/^\| `([A-Z_]+)` \| (.+?) \| (.+?) \| `(\w+)` \|$/gm)].map(
  ([, code = "", meaning = "", advice = "", rpc = ""]) => ({ code, meaning, advice, rpc }),
);

/** `FailedPrecondition` as it goes over the wire. */
const wireName = (code: Code): string => (Code[code] ?? "").replace(/(?!^)([A-Z])/g, "_$1").toLowerCase();

test("the reference has every error code, each once, in the order of the table of codes", () => {
  expect(rows.map(({ code }) => code)).toEqual(Object.keys(errorCodes));
});

test("the reference says which code goes over the wire", () => {
  const written = Object.fromEntries(rows.map(({ code, rpc }) => [code, rpc]));
  const real = Object.fromEntries(Object.entries(rpcCodes).map(([code, rpc]) => [code, wireName(rpc)]));
  expect(written).toEqual(real);
});

test.each(rows)("$code has a meaning and an advice, each a sentence", ({ meaning, advice }) => {
  for (const sentence of [meaning, advice]) expect(sentence).toMatch(/^[A-Z`].*\.$/);
});

test("every code is its own value, so that code and name cannot part", () => {
  for (const code of Object.keys(errorCodes) as ErrorCode[]) expect(errorCodes[code]).toBe(code);
});
