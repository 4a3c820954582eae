import { expect, test } from "vitest";
import { protocolOf } from "../../../src/http/detect-protocol.js";
import { type HeadLimits, http1Refusal, http2Refusal } from "../../../src/http/request-check.js";
import { connectionInfoOf } from "../../../src/http/socket-info.js";

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

test.each([
  { bytes: "G", protocol: "http1", why: "another first letter" },
  { bytes: "PR", protocol: undefined, why: "could still be either" },
  { bytes: "PROPFIND", protocol: "http1", why: "a method that begins alike" },
  { bytes: preface.slice(0, 23), protocol: undefined, why: "one byte is missing" },
  { bytes: preface, protocol: "http2", why: "the preface" },
  { bytes: `${preface}more`, protocol: "http2", why: "the preface and more" },
  { bytes: `${preface.slice(0, 20)}xxxx`, protocol: "http1", why: "wrong near the end" },
])("$bytes is $protocol ($why)", ({ bytes, protocol }) => {
  expect(protocolOf(Buffer.from(bytes))).toBe(protocol);
});

const limits: HeadLimits = { maxHeaderCount: 10, maxUrlBytes: 256 };

interface Request {
  readonly method?: string;
  readonly url?: string;
  readonly version?: readonly [number, number];
  readonly fields?: readonly string[];
  readonly expected?: string;
}

const many = (count: number): string[] => Array.from({ length: count }, (_, i) => [`x-${i}`, ""]).flat();
const coding = "Transfer-Encoding";

test.each<Request & { readonly status: number | undefined }>([
  { status: undefined },
  { method: "OPTIONS", url: "*", status: undefined },
  { method: "GET", url: "*", status: 400 },
  { url: "", status: 400 },
  { url: "http://h/", status: 400 },
  { url: "/a b", status: 400 },
  { url: "/a#b", status: 400 },
  { url: "/\u007f", status: 400 },
  { url: "/\u00e9", status: 400 },
  { url: "/[%zz]?^|", status: undefined },
  { url: `/${"x".repeat(255)}`, status: undefined },
  { url: `/${"x".repeat(256)}`, status: 414 },
  { expected: "100-Continue", status: undefined },
  { expected: "tea", status: 417 },
  { method: "TRACE", status: 501 },
  { method: "CONNECT", url: "a:80", status: 501 },
  { version: [2, 0], status: 505 },
  { version: [0, 9], status: 505 },
  { version: [1, 0], fields: [], status: undefined },
  { fields: ["Host", "a", "hOSt", "a"], status: 400 },
  { fields: ["Host", "a", "x-host", "b"], status: undefined },
  { fields: ["Host", "a", coding, "Chunked"], status: undefined },
  { fields: [coding, "gzip, chunked"], status: 400 },
  { fields: [coding, "chunked", coding.toUpperCase(), "chunked"], status: 400 },
  { fields: [coding, ""], status: 400 },
  { version: [1, 0], fields: [coding, "chunked"], status: 400 },
  { fields: [], status: 400 },
  { fields: ["Host", "", ...many(9)], status: undefined },
  { fields: many(11), status: 431 },
])("HTTP/1.1: %j", ({ method = "GET", url = "/", version = [1, 1], fields = ["Host", "a"], expected, status }) => {
  const [httpVersionMajor, httpVersionMinor] = version;
  const request = { method, url, httpVersionMajor, httpVersionMinor, rawHeaders: [...fields] };
  expect(http1Refusal(request, limits, expected)?.status).toBe(status);
});

test.each<{ readonly fields: readonly string[]; readonly status: number | undefined }>([
  { fields: [":authority", "a"], status: undefined },
  { fields: [":authority", "a", "host", "A"], status: undefined },
  { fields: [":authority", "a", "host", "b"], status: 400 },
  { fields: ["host", "b"], status: undefined },
  { fields: ["host", "b", "host", "b"], status: 400 },
  { fields: [":authority", "a/b"], status: 400 },
  { fields: [":scheme", "https"], status: undefined },
  { fields: [":scheme", "file"], status: 400 },
  { fields: [":path", "/a#b"], status: 400 },
  { fields: [":path", "http://h/"], status: 400 },
  { fields: [":method", "get"], status: 501 },
  { fields: [":method", "GET / HTTP/1.1"], status: 501 },
  { fields: ["expect", "tea"], status: 417 },
  { fields: [":authority", "a", ...many(10)], status: undefined },
  { fields: many(11), status: 431 },
])("HTTP/2: %j", ({ fields, status }) => {
  const headers: Record<string, string> = { ":method": "GET", ":path": "/" };
  for (let i = 0; i < fields.length; i += 2) headers[fields[i] as string] = fields[i + 1] as string;
  expect(http2Refusal(headers, fields, limits)?.status).toBe(status);
});

test.each([
  { maxHeaderBytes: 13 + 9 + 3 * 32, status: undefined },
  { maxHeaderBytes: 13 + 9 + 3 * 32 - 1, status: 431 },
])("a head of HTTP/2 is measured in what it says and 32 bytes for each field: $maxHeaderBytes", (row) => {
  const headers = { ":method": "GET", ":path": "/" };
  const fields = [":method", "GET", ":path", "/", "x-a", "bcd"];
  expect(http2Refusal(headers, fields, limits, row.maxHeaderBytes)?.status).toBe(row.status);
});

test.each([
  { host: "", fine: true },
  { host: "a-b.example:80", fine: true },
  { host: "[::1%25eth0]:80", fine: true },
  { host: "a_b~!$&'()*+;=", fine: true },
  ...[...' \t"#,/<>?@\\^`{|}\u007f\u00e9'].map((bad) => ({ host: `a${bad}b`, fine: false })),
])("a host $host is fine: $fine", ({ host, fine }) => {
  const request = { method: "GET", url: "/", httpVersionMajor: 1, httpVersionMinor: 1, rawHeaders: ["Host", host] };
  expect(http1Refusal(request, limits, undefined) === undefined).toBe(fine);
});

test.each([
  { remoteAddress: "::ffff:127.0.0.1", address: "127.0.0.1", transport: "tcp" },
  { remoteAddress: "::1", address: "::1", transport: "tcp" },
  { remoteAddress: undefined, address: "", transport: "unix" },
])("a socket from $remoteAddress is $transport from '$address'", ({ remoteAddress, address, transport }) => {
  const info = connectionInfoOf({ remoteAddress } as never);
  expect(info).toEqual({ remoteAddress: address, transport, encrypted: false, principal: undefined });
});
