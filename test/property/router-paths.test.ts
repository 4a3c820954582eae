import fc from "fast-check";
import { expect, test } from "vitest";
import { parseServicePath } from "../../src/router/path.js";
import { upstreamPath } from "../../src/router/upstream-path.js";
import { registrationRecord } from "../support/router-host.js";

const piece = fc.constantFrom(
  "a",
  ".",
  "..",
  "%2e",
  "%2E",
  "/",
  "%2f",
  "\\",
  "%5C",
  "%00",
  "%",
  "%25",
  "connectplugin",
  "connectplugin.v1",
  "C",
  "x",
  "~",
  "ä",
  "?",
);
const raw = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(""));

/** What a server of the strictest kind makes of a path: decoded once, segments resolved. */
function decoded(path: string): string[] {
  return path
    .split("/")
    .map((segment) => segment.replace(/%([0-9a-fA-F]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))));
}

test("what passes stays byte for byte, and never leaves its service or reaches a reserved one", () => {
  let passed = 0;
  fc.assert(
    fc.property(raw, (rest) => {
      const target = parseServicePath(`/services/logger/l-1/${rest}`);
      if (target.kind === "bad-path") return;
      passed++;
      expect(`${target.rest}${target.query}`).toBe(rest.replace(/^\/+/, ""));
      const where = upstreamPath([registrationRecord({ path: "/logger.v1.Logger/" })], "/base", target.rest);
      if (typeof where === "string") throw new Error(where);
      expect(where.path.startsWith("/base/logger.v1.Logger/")).toBe(true);
      for (const segment of decoded(where.path)) {
        expect([".", ".."]).not.toContain(segment);
        expect(segment).not.toMatch(/[/\\\0]|^connectplugin\./i);
      }
      expect(new URL(where.path, "http://h").pathname.startsWith("/base/logger.v1.Logger/")).toBe(true);
    }),
    { numRuns: 2_000 },
  );
  expect(passed).toBeGreaterThan(100);
});

test("any text at all is either read or refused, never thrown at", () => {
  fc.assert(
    fc.property(fc.string(), fc.string({ unit: "binary" }), (one, other) => {
      for (const target of [one, `/services/${other}`, `/services/logger/any/${one}`]) {
        expect(["target", "bad-path"]).toContain(parseServicePath(target).kind);
      }
    }),
  );
});
