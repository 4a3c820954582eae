import { expect, test } from "vitest";
import {
  fieldValue,
  fromHeaders,
  hasField,
  joinCookies,
  toFieldList,
  toFieldObject,
  toHeaders,
} from "../../../src/http/field-list.js";

test("names become lower-case, pseudo-headers are dropped, order and duplicates stay", () => {
  const raw = [":method", "GET", "X-A", "1", "Set-Cookie", "a", "x-a", "2", "SET-COOKIE", "b"];
  expect(toFieldList(raw)).toEqual(["x-a", "1", "set-cookie", "a", "x-a", "2", "set-cookie", "b"]);
});

test("a value is found by name only, and several are joined", () => {
  const fields = ["a", "b", "b", "1", "b", "2"];
  expect(fieldValue(fields, "b")).toBe("1, 2");
  expect(fieldValue(fields, "1")).toBeUndefined();
  expect(hasField(fields, "1")).toBe(false);
  expect(hasField(fields, "b")).toBe(true);
});

test("the parts of a cookie become one field at the place of the first", () => {
  expect(joinCookies(["x", "cookie", "cookie", "a=1", "y", "2", "cookie", "b=2"])).toEqual([
    "x",
    "cookie",
    "cookie",
    "a=1; b=2",
    "y",
    "2",
  ]);
});

test("values of one name become an array in an object, whatever the name is", () => {
  const object = toFieldObject(["a", "1", "__proto__", "x", "a", "2", "a", "3"]);
  expect(object.a).toEqual(["1", "2", "3"]);
  expect(Object.keys(object)).toEqual(["a", "__proto__"]);
});

test("Web headers go both ways with set-cookie in parts", () => {
  const headers = toHeaders(["set-cookie", "a", "x", "1", "set-cookie", "b", "x", "2"]);
  expect(fromHeaders(headers)).toEqual(["set-cookie", "a", "set-cookie", "b", "x", "1, 2"]);
  expect(fromHeaders(undefined)).toEqual([]);
});
