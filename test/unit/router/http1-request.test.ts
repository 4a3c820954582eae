import { describe, expect, test } from "vitest";
import { requestHead, trailerLines } from "../../../src/router/http1-request.js";
import type { UpstreamRequest } from "../../../src/router/upstream.js";

const request = (given: Partial<UpstreamRequest> = {}): UpstreamRequest => ({
  method: "POST",
  path: "/a?b",
  fields: [],
  hasBody: true,
  length: undefined,
  expectsContinue: false,
  ...given,
});

test.each([
  ["a length that was announced", { fields: ["content-length", "3"], length: 3 }, "content-length: 3\r\n"],
  ["chunks where no length was", {}, "transfer-encoding: chunked\r\n"],
  ["a length of 0 for an empty message", { hasBody: false }, "content-length: 0\r\n"],
  ["nothing for a GET", { hasBody: false, method: "GET" }, ""],
  ["the wish to be asked first", { expectsContinue: true }, "expect: 100-continue\r\ntransfer-encoding: chunked\r\n"],
])("a head has %s", (_what, given, framing) => {
  const made = request(given);
  expect(requestHead(made, "host:1")).toBe(`${made.method} /a?b HTTP/1.1\r\nhost: host:1\r\n${framing}\r\n`);
});

test("a value keeps every byte of Latin-1, tabs too", () => {
  expect(requestHead(request({ fields: ["a", "\t\xe9\xff"] }), "h")).toContain("a: \t\xe9\xff\r\n");
});

describe("nothing is written if", () => {
  test.each([
    ["a value has a line end", ["a", "b\r\nc: d"]],
    ["a value has LF", ["a", "b\nc"]],
    ["a value ends with CR", ["a", "b\r"]],
    ["a value has CR", ["a", "b\rc"]],
    ["a value has NUL", ["a", "b\0"]],
    ["a value is beyond Latin-1", ["a", "\u0101"]],
    ["a name has a line end", ["a\r\nb", "c"]],
  ])("%s", (_what, fields) => {
    expect(requestHead(request({ fields }), "h")).toBeUndefined();
    expect(trailerLines(fields)).toBeUndefined();
  });
});
