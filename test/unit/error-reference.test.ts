import { readFileSync } from "node:fs";
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { remedies } from "../../src/cli/doctor/remedies.js";
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

describe("errors of a start", () => {
  const sections = new Map(
    text
      .split(/^### /m)
      .slice(1)
      .map((section) => [/^`([A-Z_]+)`\n/.exec(section)?.[1] ?? "", section] as const),
  );

  test("each has a part of its own in the reference, and a remedy in doctor", () => {
    expect([...sections.keys()].sort()).toEqual(Object.keys(remedies).sort());
  });

  test("each that addPlugin names is one of them", () => {
    const platform = readFileSync(new URL("../../src/platform.ts", import.meta.url), "utf8");
    const comment = /\/\*\*(?:(?!\*\/)[\s\S])*?\*\/\n {2}async addPlugin\(/.exec(platform)?.[0] ?? "";
    const named = [...comment.matchAll(/`([A-Z_]+)`/g)].map(([, code = ""]) => code);
    expect(named.length).toBeGreaterThan(15);
    // Both say that the caller has changed his mind, not that anything is wrong with the plugin.
    const aboutCaller = ["HOST_STOPPED", "OPERATION_ABORTED"];
    expect(named.filter((code) => !sections.has(code) && !aboutCaller.includes(code))).toEqual([]);
  });

  test.each([...sections])(
    "%s says what it means, what causes it, what to do, and shows a message",
    (_code, section) => {
      const [, meaning = "", causes = "", toDo = "", message = ""] = section.trimEnd().split(/\n\n/);
      expect(meaning).toMatch(/^[A-Z][\s\S]+\.$/);
      expect(causes).toMatch(/^\*\*Causes\.\*\* [A-Z`][\s\S]+\.$/);
      expect(toDo).toMatch(/^\*\*To do\.\*\* [A-Z`][\s\S]+\.$/);
      expect(message).toMatch(/^```text\n[\s\S]+\n```$/);
    },
  );

  test("no two have the same remedy", () => {
    const all = Object.values(remedies);
    expect(new Set(all).size).toBe(all.length);
  });
});
