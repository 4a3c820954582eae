import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { addressKey } from "../../../src/model/address.js";
import { formatRevision, parseRevision } from "../../../src/model/catalog.js";

const http = (url: string) => addressKey({ kind: "http", url, protocols: undefined });

test.each([
  { a: "http://127.0.0.1:80", b: "http://127.0.0.1", same: true, why: "the default port" },
  { a: "https://h:443", b: "https://h", same: true, why: "the default port of TLS" },
  { a: "http://localhost:8080", b: "http://127.0.0.1:8080", same: true, why: "names of the loopback interface" },
  { a: "http://[::1]:8080", b: "http://127.0.0.1:8080", same: true, why: "the loopback interface of IPv6" },
  { a: "http://HOST:1", b: "http://host:1", same: true, why: "case of the host" },
  { a: "http://h:1/p/", b: "http://h:1/p", same: true, why: "a trailing slash" },
  { a: "http://h:1/p", b: "http://h:1/q", same: false, why: "another path" },
  { a: "http://h:1", b: "http://h:2", same: false, why: "another port" },
  { a: "http://h:443", b: "https://h:443", same: false, why: "another scheme" },
])("$a and $b are the same program: $same ($why)", ({ a, b, same }) => expect(http(a) === http(b)).toBe(same));

test("addresses of different kinds never have the same key, and external ones have none", () => {
  const connect = () => new PassThrough();
  expect(addressKey({ kind: "unix", path: "/run/a.sock", protocols: ["h1"] })).toBe("unix:/run/a.sock");
  expect(addressKey({ kind: "module", id: "a", connect })).toBe("module:a");
  expect(addressKey({ kind: "external" })).toBeUndefined();
});

test.each([
  { epoch: "e1", number: 0 },
  { epoch: "a:b", number: 17 },
])("a revision comes back from its text: $epoch:$number", (revision) => {
  expect(parseRevision(formatRevision(revision))).toEqual(revision);
});

test.each([[""], ["e"], [":1"], ["e:"], ["e:-1"], ["e:01"], ["e:1.5"], ["e:99999999999999999999"], ["e:1 "]])(
  "%j is no revision",
  (text) => expect(parseRevision(text)).toBeUndefined(),
);
