import { describe, expect, test } from "vitest";
import { PluginHostError } from "../../../src/errors.js";
import { checkEndpointPath, checkMetadata, checkName, checkNumber, shown } from "../../../src/model/limits.js";

function refusal(run: () => unknown): PluginHostError {
  try {
    run();
  } catch (error) {
    if (error instanceof PluginHostError) return error;
    throw error;
  }
  throw new Error("was accepted");
}

describe("checkName", () => {
  test.each([["logger"], ["L"], ["logger.v1.Logger"], ["a_b-c.d9"], ["constructor"], ["a".repeat(128)]])(
    "takes %j unchanged",
    (name) => expect(checkName("type", name)).toBe(name),
  );

  test.each([
    { name: "", says: "must not be empty", why: "empty" },
    { name: "a".repeat(129), says: "is 129 bytes long; at most 128", why: "too long" },
    { name: "1a", says: "must begin with a letter", why: "digit first" },
    { name: "_a", says: "must begin with a letter", why: "underscore first" },
    { name: ".a", says: "must begin with a letter", why: "dot first" },
    { name: "a b", says: 'got "a b"', why: "space" },
    { name: "a/b", says: 'got "a/b"', why: "slash" },
    { name: "a%2eb", says: 'got "a%2eb"', why: "escape" },
    { name: "ä", says: "must begin with a letter", why: "not ASCII" },
    { name: "aä", says: 'got "aä"', why: "not ASCII inside" },
    { name: "a\n", says: 'got "a\\n"', why: "line end last" },
    { name: "a\u0000", says: 'got "a\\u0000"', why: "NUL" },
    { name: "a..b", says: 'must not contain ".."', why: "two dots" },
    { name: "__proto__", says: "must begin with a letter", why: "JavaScript's own name" },
  ])("refuses a name for: $why", ({ name, says }) => {
    const error = refusal(() => checkName("services[0].type", name));
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT", field: "services[0].type" });
    expect(error.message).toMatch(/^services\[0\]\.type /);
    expect(error.message).toContain(says);
  });

  test.each([undefined, null, 7, {}, ["a"]])("refuses %j, which is no string, with the field's name", (value) => {
    const error = refusal(() => checkName("type", value as never));
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT", field: "type" });
    expect(error.message).toContain("must be a string");
  });
});

describe("checkEndpointPath", () => {
  test.each([
    { path: "", gives: "/", why: "empty means the root" },
    { path: "/", gives: "/", why: "the root" },
    { path: "/logger.v1.Logger/", gives: "/logger.v1.Logger/", why: "both slashes" },
    { path: "/logger.v1.Logger", gives: "/logger.v1.Logger/", why: "a missing final slash is added" },
    { path: "/a/b.c/~x:@!$&'()*+,;=", gives: "/a/b.c/~x:@!$&'()*+,;=/", why: "every other character of a path" },
    { path: `/${"a".repeat(254)}/`, gives: `/${"a".repeat(254)}/`, why: "256 bytes" },
    { path: `/${"a".repeat(255)}`, gives: `/${"a".repeat(255)}/`, why: "256 bytes as they were given" },
  ])("makes of $path: $why", ({ path, gives }) => expect(checkEndpointPath("path", path)).toBe(gives));

  test.each([
    { path: "a/", says: 'must begin with "/"', why: "no slash first" },
    { path: "http://h/", says: 'must begin with "/"', why: "a URL" },
    { path: `/${"a".repeat(256)}`, says: "is 257 bytes long; at most 256", why: "too long" },
    { path: "/a?b", says: 'must not contain "?"', why: "query" },
    { path: "/a#b", says: 'must not contain "#"', why: "fragment" },
    { path: "/a%2e", says: 'must not contain "%"', why: "escape" },
    { path: "/a\\b", says: 'must not contain "\\\\"', why: "backslash" },
    { path: "/a\r\nX: y", says: 'must not contain "\\r"', why: "line end" },
    { path: "/a\u0000", says: 'must not contain "\\u0000"', why: "NUL" },
    { path: "/a\u007f", says: "must not contain", why: "DEL" },
    { path: "/a\u0085", says: "must not contain", why: "C1 control character" },
    { path: "/a b", says: 'must not contain " "', why: "space" },
    { path: "/ä", says: 'must not contain "ä"', why: "not ASCII" },
    { path: "/a/../b", says: 'must not contain ".."', why: "a step up" },
    { path: "/a..b", says: 'must not contain ".."', why: "two dots anywhere" },
  ])("refuses a path for: $why", ({ path, says }) => {
    const error = refusal(() => checkEndpointPath("endpoint_path", path));
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT", field: "endpoint_path" });
    expect(error.message).toContain(says);
  });

  test("counts bytes, not characters", () => {
    expect(refusal(() => checkEndpointPath("path", `/${"ä".repeat(128)}`)).message).toContain("is 257 bytes long");
  });

  test("refuses what is no string with the field's name", () => {
    expect(refusal(() => checkEndpointPath("path", undefined as never)).field).toBe("path");
  });
});

describe("checkMetadata", () => {
  const entries = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, "v"]));

  test.each([
    { metadata: {}, why: "none" },
    { metadata: entries(100), why: "100 entries" },
    { metadata: { ["k".repeat(256)]: "v" }, why: "a key of 256 bytes" },
    { metadata: { k: "v".repeat(4096) }, why: "a value of 4,096 bytes" },
    { metadata: { k: "ä".repeat(2048) }, why: "a value of 4,096 bytes in 2,048 characters" },
    { metadata: { k: "" }, why: "an empty value" },
    { metadata: { constructor: "v" }, why: "a key that objects have by themselves" },
  ])("takes $why", ({ metadata }) => expect({ ...checkMetadata("metadata", metadata) }).toEqual(metadata));

  test.each([
    { metadata: entries(101), field: "metadata", says: "has 101 entries; at most 100", why: "too many" },
    { metadata: { "": "v" }, field: "metadata key", says: "must not be empty", why: "empty key" },
    {
      metadata: { ["k".repeat(257)]: "v" },
      field: "metadata key",
      says: "is 257 bytes long; at most 256",
      why: "long key",
    },
    { metadata: { "1k": "v" }, field: "metadata key", says: "must begin with a letter", why: "key's pattern" },
    { metadata: JSON.parse('{"__proto__":"v"}'), field: "metadata key", says: "letter", why: "JavaScript's own name" },
    {
      metadata: { k: "v".repeat(4097) },
      field: "metadata.k",
      says: "is 4097 bytes long; at most 4096",
      why: "long value",
    },
    {
      metadata: { k: "ä".repeat(2049) },
      field: "metadata.k",
      says: "is 4098 bytes long",
      why: "bytes, not characters",
    },
    { metadata: { k: 7 }, field: "metadata.k", says: "must be a string, got number", why: "not a string" },
    { metadata: null, field: "metadata", says: "must be an object of strings", why: "null" },
    { metadata: ["v"], field: "metadata", says: "must be an object of strings", why: "an array" },
  ])("refuses metadata for: $why", ({ metadata, field, says }) => {
    const error = refusal(() => checkMetadata("metadata", metadata as never));
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT", field });
    expect(error.message).toContain(says);
  });

  test("gives a frozen copy, so that the caller's object and what was checked cannot change each other", () => {
    const given = { zone: "a" };
    const checked = checkMetadata("metadata", given);
    given.zone = "b";
    expect(checked).toEqual({ zone: "a" });
    expect(Object.isFrozen(checked)).toBe(true);
    expect(Object.isFrozen(given)).toBe(false);
  });
});

describe("checkNumber", () => {
  test.each([
    { value: 1, min: 1, max: 10 },
    { value: 10, min: 1, max: 10 },
    { value: Number.POSITIVE_INFINITY, min: 0, max: Number.POSITIVE_INFINITY },
  ])("takes $value from $min to $max", ({ value, min, max }) => expect(checkNumber("n", value, min, max)).toBe(value));

  test.each([
    { value: 0, max: 10 },
    { value: 11, max: 10 },
    { value: Number.NaN, max: 10 },
    { value: Number.POSITIVE_INFINITY, max: 10 },
    { value: "5", max: 10 },
  ])("refuses $value from 1 to $max", ({ value, max }) => {
    expect(refusal(() => checkNumber("timeoutMs", value as never, 1, max))).toMatchObject({ field: "timeoutMs" });
  });
});

test("a value in a message is quoted, escaped and cut", () => {
  expect(shown('a"\n')).toBe('"a\\"\\n"');
  expect(shown("x".repeat(80))).toBe(`"${"x".repeat(80)}"`);
  expect(shown("x".repeat(81))).toBe(`"${"x".repeat(77)}..."`);
});
