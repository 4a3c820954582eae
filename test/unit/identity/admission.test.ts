import { expect, test } from "vitest";
import type { ConnectionInfo } from "../../../src/http/exchange.js";
import {
  type AdmissionPolicy,
  admissionRefusal,
  isLoopbackAddress,
  isLoopbackHost,
} from "../../../src/identity/admission.js";
import type { Principal } from "../../../src/model/principal.js";

const over = (transport: ConnectionInfo["transport"], remoteAddress = ""): ConnectionInfo => ({
  transport,
  remoteAddress,
  encrypted: false,
  principal: undefined,
});
const loopback = over("tcp", "127.0.0.1");
const remote = over("tcp", "10.0.0.7");

test.each<{
  policy: AdmissionPolicy;
  who: Principal["kind"];
  from: string;
  connection: ConnectionInfo;
  joins: boolean;
}>([
  { policy: "local", who: "anonymous", from: "loopback", connection: loopback, joins: true },
  { policy: "local", who: "anonymous", from: "loopback over IPv6", connection: over("tcp", "::1"), joins: true },
  { policy: "local", who: "anonymous", from: "a Unix socket", connection: over("unix"), joins: true },
  { policy: "local", who: "anonymous", from: "memory", connection: over("memory"), joins: true },
  { policy: "local", who: "anonymous", from: "another machine", connection: remote, joins: false },
  { policy: "local", who: "join", from: "another machine", connection: remote, joins: true },
  { policy: "join-token", who: "anonymous", from: "loopback", connection: loopback, joins: false },
  { policy: "join-token", who: "anonymous", from: "a Unix socket", connection: over("unix"), joins: false },
  { policy: "join-token", who: "admin", from: "loopback", connection: loopback, joins: false },
  { policy: "join-token", who: "join", from: "another machine", connection: remote, joins: true },
  { policy: "join-token", who: "launch", from: "loopback", connection: loopback, joins: true },
  { policy: "join-token", who: "host", from: "memory", connection: over("memory"), joins: true },
  { policy: "join-token", who: "plugin", from: "another machine", connection: remote, joins: true },
  { policy: "open", who: "anonymous", from: "another machine", connection: remote, joins: true },
])("under the policy $policy, $who from $from joins: $joins", ({ policy, who, connection, joins }) => {
  const principal = { kind: who, runtimeId: "a-1", selfId: "a", launchId: "l", user: "u" } as unknown as Principal;
  const refusal = admissionRefusal(policy, principal, connection);
  if (joins) expect(refusal).toBeUndefined();
  else expect(refusal).toContain("join token");
});

test.each([
  { address: "127.0.0.1", is: true },
  { address: "127.255.255.254", is: true },
  { address: "::1", is: true },
  { address: "::ffff:127.0.0.1", is: true },
  { address: "128.0.0.1", is: false },
  { address: "10.127.0.1", is: false },
  { address: "127.example.org", is: false },
  { address: "127.0.0.1.example.org", is: false },
  { address: "::ffff:10.0.0.1", is: false },
  { address: "", is: false },
])("the address $address is loopback: $is", ({ address, is }) => {
  expect(isLoopbackAddress(address)).toBe(is);
});

test.each([
  { host: "localhost", is: true },
  { host: "LOCALHOST", is: true },
  { host: "app.localhost", is: true },
  { host: "127.0.0.1", is: true },
  { host: "[::1]", is: true },
  { host: "localhost.example.org", is: false },
  { host: "notlocalhost", is: false },
  { host: "127.example.org", is: false },
  { host: "0.0.0.0", is: false },
  { host: "example.org", is: false },
])("the name $host leads to this machine: $is", ({ host, is }) => {
  expect(isLoopbackHost(host)).toBe(is);
});
