import { expect, test } from "vitest";
import { isAuthority, originRefusal } from "../../../src/identity/origin-guard.js";
import { requestHead } from "../../support/request-head.js";

const open = { loopbackOnly: false, publicAuthority: undefined };
const loopback = { loopbackOnly: true, publicAuthority: undefined };
const withPublic = { loopbackOnly: true, publicAuthority: "plugins.example.org:8443" };

test.each([
  { host: "127.0.0.1:4000", options: loopback, ok: true },
  { host: "localhost", options: loopback, ok: true },
  { host: "LocalHost:4000", options: loopback, ok: true },
  { host: "[::1]:4000", options: loopback, ok: true },
  { host: "evil.example.org", options: loopback, ok: false },
  { host: "127.evil.example.org", options: loopback, ok: false },
  { host: "localhost.evil.example.org:4000", options: loopback, ok: false },
  { host: "plugins.example.org:8443", options: withPublic, ok: true },
  { host: "Plugins.Example.org:8443", options: withPublic, ok: true },
  { host: "plugins.example.org", options: withPublic, ok: false },
  { host: "plugins.example.org:8443", options: loopback, ok: false },
  { host: "any.example.org", options: open, ok: true },
  { host: "", options: open, ok: false },
  { host: "[", options: open, ok: false },
  { host: "[::1", options: open, ok: false },
  { host: "a b", options: open, ok: false },
  { host: "user@127.0.0.1", options: loopback, ok: false },
  { host: "127.0.0.1/x", options: loopback, ok: false },
  { host: "127.0.0.1:x", options: loopback, ok: false },
])("Host $host passes with $options: $ok", ({ host, options, ok }) => {
  expect(originRefusal(requestHead({ authority: host }), options) === undefined).toBe(ok);
});

test.each([
  { origin: "http://127.0.0.1:4000", options: loopback, ok: true },
  { origin: "http://localhost:3000", options: loopback, ok: true },
  { origin: "https://app.localhost", options: loopback, ok: true },
  { origin: "https://evil.example.org", options: loopback, ok: false },
  { origin: "https://127.evil.example.org", options: loopback, ok: false },
  { origin: "null", options: loopback, ok: false },
  { origin: "", options: loopback, ok: false },
  { origin: "http://127.0.0.1:4000, https://evil.example.org", options: loopback, ok: false },
  { origin: "file://", options: loopback, ok: false },
  { origin: "https://plugins.example.org:8443", options: withPublic, ok: true },
  { origin: "https://evil.example.org", options: withPublic, ok: false },
  { origin: "https://evil.example.org", options: open, ok: true },
])("Origin $origin passes with $options: $ok", ({ origin, options, ok }) => {
  expect(originRefusal(requestHead({ headers: { origin } }), options) === undefined).toBe(ok);
});

test.each(["unix", "memory"] as const)("over %s neither Host nor Origin matters", (transport) => {
  const head = requestHead({
    authority: "",
    headers: { origin: "https://evil.example.org" },
    connection: { transport },
  });
  expect(originRefusal(head, loopback)).toBeUndefined();
});

test.each([
  { text: "a.example.org:80", is: true },
  { text: "[::1]", is: true },
  { text: "[", is: false },
  { text: "", is: false },
])("$text is a host name: $is", ({ text, is }) => {
  expect(isAuthority(text)).toBe(is);
});
