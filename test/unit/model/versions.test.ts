import { describe, expect, test } from "vitest";
import { checkVersion, compareVersionsDescending, compileVersionRange } from "../../../src/model/versions.js";

describe("checkVersion", () => {
  test.each([
    ["1.2.3"],
    ["0.0.0"],
    ["1.2.3-rc.1"],
    ["1.2.3+build.7"],
    ["1.2.3-alpha.1+b-7"],
    [`1.2.3-${"a".repeat(58)}`],
  ])("takes %j unchanged", (version) => expect(checkVersion("version", version)).toBe(version));

  test.each([
    { version: "", why: "empty" },
    { version: "1", why: "major only" },
    { version: "1.2", why: "no patch" },
    { version: "1.2.3.4", why: "four numbers" },
    { version: "v1.2.3", why: "a leading v" },
    { version: "=1.2.3", why: "a range" },
    { version: "^1.2.3", why: "a range" },
    { version: "latest", why: "a word" },
    { version: "01.2.3", why: "leading zero" },
    { version: "1.2.3-01", why: "leading zero in a pre-release" },
    { version: "1.2.3-", why: "empty pre-release" },
    { version: " 1.2.3", why: "space in front" },
    { version: "1.2.3 ", why: "space behind" },
    { version: "1.2.3\n", why: "line end behind" },
    { version: "99999999999999999999.0.0", why: "a number that is not exact" },
    { version: `1.2.3-${"a".repeat(59)}`, why: "65 bytes" },
    { version: undefined as never, why: "no string" },
    { version: 1 as never, why: "a number" },
  ])("refuses $version: $why", ({ version }) => {
    expect(() => checkVersion("services[0].version", version)).toThrowError(
      expect.objectContaining({ code: "INVALID_ARGUMENT", field: "services[0].version" }),
    );
  });
});

describe("compileVersionRange", () => {
  test.each([
    { have: "1.10.0", wanted: "1.9.0", ok: true, why: "numbers, not text" },
    { have: "1.2.0", wanted: "1.2.0", ok: true, why: "a minimum includes itself" },
    { have: "2.0.0", wanted: "1.2.0", ok: true, why: "a minimum has no upper end" },
    { have: "1.1.9", wanted: "1.2.0", ok: false, why: "below the minimum" },
    { have: "1.2.0-rc.1", wanted: "1.2.0", ok: false, why: "a pre-release comes before its release" },
    { have: "1.3.0-rc.1", wanted: "1.2.0", ok: true, why: "a pre-release above a minimum is above it" },
    { have: "1.2.0", wanted: "1.2.0-rc.1", ok: true, why: "a pre-release can be a minimum" },
    { have: "1.2.0+build7", wanted: "1.2.0", ok: true, why: "build metadata has no order" },
    { have: "1.2.0", wanted: "1.2.0+build7", ok: true, why: "build metadata has no order" },
    { have: "1.2.5", wanted: "^1.2", ok: true, why: "a range" },
    { have: "2.0.0", wanted: "^1.2", ok: false, why: "outside a range" },
    { have: "1.9.0", wanted: "1.2", ok: false, why: "two numbers are the range 1.2.x" },
    { have: "1.2.9", wanted: "1", ok: true, why: "one number is the range 1.x.x" },
    { have: "3.1.0", wanted: ">=1 <2 || >=3", ok: true, why: "alternatives" },
    { have: "1.5.0", wanted: "1.2.3 - 2.0.0", ok: true, why: "a span, though it begins like a minimum" },
    { have: "2.0.1", wanted: "1.2.3 - 2.0.0", ok: false, why: "a span has an upper end" },
    { have: "1.2.4", wanted: "=1.2.3", ok: false, why: "an exact version" },
    { have: "1.3.0-rc.1", wanted: "^1.2", ok: false, why: "npm ranges leave pre-releases out" },
    { have: "1.2.4", wanted: " 1.2.3 ", ok: true, why: "space around a minimum means nothing" },
    { have: "0.0.1-x", wanted: "", ok: true, why: "empty is any" },
    { have: "", wanted: "", ok: true, why: "empty is any, even none" },
    { have: "", wanted: "1.0.0", ok: false, why: "no version meets no minimum" },
    { have: "soon", wanted: "*", ok: false, why: "what is not a version is in no range" },
  ])("$have meets $wanted: $ok ($why)", ({ have, wanted, ok }) => {
    expect(compileVersionRange("minVersion", wanted)(have)).toBe(ok);
  });

  test.each([
    ["latest!"],
    ["1.2.3.4"],
    [">=x.y.z"],
    ["^1.2 && 3"],
    ["a".repeat(257)],
    [undefined as never],
    [1 as never],
  ])("refuses %j and names the field", (wanted) => {
    expect(() => compileVersionRange("minVersion", wanted)).toThrowError(
      expect.objectContaining({ code: "INVALID_ARGUMENT", field: "minVersion" }),
    );
  });
});

test("versions sort highest first, and what is no version last", () => {
  const sorted = ["b", "1.2.0", "1.10.0", "a", "1.10.0-rc.1", "1.2.0+2", "2.0.0"].sort(compareVersionsDescending);
  expect(sorted).toEqual(["2.0.0", "1.10.0", "1.10.0-rc.1", "1.2.0+2", "1.2.0", "a", "b"]);
});
