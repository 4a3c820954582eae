import { expect, test } from "vitest";
import { protocolOf } from "../../../src/http/detect-protocol.js";
import { countAuthorities, requestRefusal } from "../../../src/http/request-check.js";
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

test.each([
  { method: "GET", target: "/", expect: undefined, hosts: 1, status: undefined },
  { method: "OPTIONS", target: "*", expect: undefined, hosts: 1, status: undefined },
  { method: "GET", target: "*", expect: undefined, hosts: 1, status: 400 },
  { method: "GET", target: "", expect: undefined, hosts: 1, status: 400 },
  { method: "GET", target: "/a b", expect: undefined, hosts: 1, status: 400 },
  { method: "GET", target: "/\u007f", expect: undefined, hosts: 1, status: 400 },
  { method: "GET", target: "/[%zz]?^|", expect: undefined, hosts: 0, status: undefined },
  { method: "GET", target: "/", expect: "100-Continue", hosts: 1, status: undefined },
  { method: "GET", target: "/", expect: "tea", hosts: 1, status: 417 },
  { method: "GET", target: "/", expect: undefined, hosts: 2, status: 400 },
  { method: "TRACE", target: "/", expect: undefined, hosts: 1, status: 501 },
])(
  "$method $target, expecting $expect of $hosts hosts: $status",
  ({ method, target, expect: expected, hosts, status }) => {
    expect(requestRefusal(method, target, expected, hosts)?.status).toBe(status);
  },
);

test.each([
  { authority: "a", host: undefined, count: 0 },
  { authority: "a", host: "A", count: 1 },
  { authority: "a", host: "b", count: 2 },
  { authority: undefined, host: "b", count: 1 },
])(":authority $authority and host $host count as $count", ({ authority, host, count }) => {
  const headers = { ...(authority && { ":authority": authority }), ...(host && { host }) };
  expect(countAuthorities(headers, host === undefined ? [] : ["host", host])).toBe(count);
});

test.each([
  { remoteAddress: "::ffff:127.0.0.1", address: "127.0.0.1", transport: "tcp" },
  { remoteAddress: "::1", address: "::1", transport: "tcp" },
  { remoteAddress: undefined, address: "", transport: "unix" },
])("a socket from $remoteAddress is $transport from '$address'", ({ remoteAddress, address, transport }) => {
  const info = connectionInfoOf({ remoteAddress } as never);
  expect(info).toEqual({ remoteAddress: address, transport, encrypted: false, principal: undefined });
});
