import { expect, test } from "vitest";
import { trustedProxies } from "../../../src/router/trusted-proxies.js";

test.each([
  { given: ["10.0.0.1"], peer: "10.0.0.1", trusted: true, why: "the address itself" },
  { given: ["10.0.0.1"], peer: "10.0.0.2", trusted: false, why: "another one" },
  { given: ["10.0.0.0/8"], peer: "10.255.0.1", trusted: true, why: "in the range" },
  { given: ["10.0.0.0/8"], peer: "11.0.0.1", trusted: false, why: "beside the range" },
  {
    given: ["10.0.0.1"],
    peer: "::ffff:10.0.0.1",
    trusted: true,
    why: "mapped, as a socket for both versions tells it",
  },
  { given: ["10.0.0.0/8"], peer: "::FFFF:10.1.2.3", trusted: true, why: "mapped, in the range" },
  { given: ["::ffff:10.0.0.0/104"], peer: "10.1.2.3", trusted: true, why: "a mapped range" },
  { given: ["::ffff:10.0.0.1"], peer: "10.0.0.1", trusted: true, why: "a mapped address" },
  { given: ["::ffff:10.0.0.1"], peer: "10.0.0.2", trusted: false, why: "beside a mapped address" },
  { given: ["fd00::/8"], peer: "fd12::1", trusted: true, why: "in a range of IPv6" },
  { given: ["fd00::/8"], peer: "fe80::1", trusted: false, why: "beside it" },
  { given: ["::1"], peer: "::1", trusted: true, why: "IPv6 loopback" },
  { given: ["0.0.0.0/0"], peer: "192.0.2.7", trusted: true, why: "all of IPv4" },
  { given: ["0.0.0.0/0"], peer: "fd12::1", trusted: false, why: "all of IPv4 is not IPv6" },
  { given: ["0.0.0.0/0", "::/0"], peer: "", trusted: false, why: "a Unix socket has no address" },
  { given: [], peer: "127.0.0.1", trusted: false, why: "nobody is trusted" },
])("$given trusts $peer: $trusted ($why)", ({ given, peer, trusted }) => {
  expect(trustedProxies("field", given)(peer)).toBe(trusted);
});

test.each([
  { given: "10.0.0.1" },
  { given: ["proxy.example.org"] },
  { given: ["10.0.0.0/33"] },
  { given: ["10.0.0.0/"] },
  { given: ["10.0.0.0/8/8"] },
  { given: ["::1/129"] },
  { given: ["::ffff:10.0.0.0/8"] },
  { given: [""] },
  { given: [7] },
])("refuses $given", ({ given }) => {
  expect(() => trustedProxies("router.trustedProxies", given as string[])).toThrow(
    expect.objectContaining({ code: "INVALID_ARGUMENT", field: "router.trustedProxies" }),
  );
});
