import { expect, test } from "vitest";
import { ContractHost, greeting, identityHeaders, rawRequest, toRpcReply } from "../support/contract-host.js";

const joinToken = "join-token-1";
const everywhere = { port: 0, host: "0.0.0.0" };

test.each([
  {
    what: "cookie value",
    message: { magicCookieValue: "x", coreProtocolVersion: 9, appProtocolVersion: 9, selfId: "9" },
    code: "invalid_argument",
    field: "magic_cookie",
  },
  { what: "cookie key", message: { magicCookieKey: "x" }, code: "invalid_argument", field: "magic_cookie" },
  {
    what: "core version",
    message: { coreProtocolVersion: 9, appProtocolVersion: 9, selfId: "9" },
    code: "invalid_argument",
    field: "core_protocol_version",
  },
  {
    what: "app version",
    message: { appProtocolVersion: 9, selfId: "9" },
    code: "failed_precondition",
    field: "app_protocol_version",
  },
  { what: "self id", message: { selfId: "9", selfVersion: "x" }, code: "invalid_argument", field: "self_id" },
  { what: "long self id", message: { selfId: "a".repeat(129) }, code: "invalid_argument", field: "self_id" },
  { what: "self id with dots", message: { selfId: "a..b" }, code: "invalid_argument", field: "self_id" },
  {
    what: "self version",
    message: { selfId: "a", selfVersion: "new" },
    code: "invalid_argument",
    field: "self_version",
  },
  { what: "base url", message: { selfId: "a", baseUrl: "nowhere" }, code: "invalid_argument", field: "base_url" },
])("a handshake with a bad $what is refused, names it, and leaves nothing", async ({ message, code, field }) => {
  await using host = await ContractHost.start();
  const reply = await host.handshake(message);
  expect(reply).toMatchObject({ code, message: expect.stringMatching(new RegExp(`^${field}`)) });
  expect(host.platform.plugins()).toEqual([]);
});

test("options set cookie and application version", async () => {
  await using host = await ContractHost.start({
    magicCookie: { key: "OURS", value: "v" },
    appProtocolVersion: 3,
  });
  expect((await host.handshake({ selfId: "a" })).code).toBe("invalid_argument");
  const own = { magicCookieKey: "OURS", magicCookieValue: "v", appProtocolVersion: 3, selfId: "a" };
  expect((await host.handshake(own)).body).toMatchObject({ appProtocolVersion: 3, runtimeId: expect.any(String) });
});

test("without a self id the handshake succeeds and issues no identity", async () => {
  await using host = await ContractHost.start();
  const { body } = await host.handshake();
  expect(body).toMatchObject({ coreProtocolVersion: 1, appProtocolVersion: 1 });
  expect(body.serverMetadata.server_version).toMatch(/^connect-plugin-host\/\d+\.\d+\.\d+/);
  expect(body.runtimeId).toBeUndefined();
  expect(body.runtimeToken).toBeUndefined();
});

test("with a self id there are a runtime id and a token, other ones each time", async () => {
  await using host = await ContractHost.start();
  const [first, second] = [
    await host.handshake({ selfId: "My Plugin" }),
    await host.handshake({ selfId: "My Plugin" }),
  ];
  expect(first.body.runtimeId).toMatch(/^my-plugin-[0-9a-f]{16}$/);
  expect(first.body.runtimeToken).toMatch(/^[A-Za-z0-9_-]{43}$/);
  expect(second.body.runtimeId).not.toBe(first.body.runtimeId);
  expect(second.body.runtimeToken).not.toBe(first.body.runtimeToken);
});

test("a handshake with its old identity in the headers gives the same runtime id and a new token; both are good", async () => {
  await using host = await ContractHost.start();
  const member = await host.join("logger");
  const { body } = await host.handshake({ selfId: "logger" }, member.headers);
  expect(body.runtimeId).toBe(member.runtimeId);
  const renewed = identityHeaders({ runtimeId: body.runtimeId, token: body.runtimeToken });
  expect(renewed.authorization).not.toBe(member.headers.authorization);
  for (const headers of [member.headers, renewed]) {
    expect((await host.rpc("ReportHealth", {}, headers)).code).toBeUndefined();
  }
});

test.each([
  { what: "of nobody", identity: { runtimeId: "logger-0000", token: "x" } },
  { what: "with a wrong token", identity: undefined },
])("an identity $what is no obstacle to a new one", async ({ identity }) => {
  await using host = await ContractHost.start();
  const { runtimeId } = await host.join("logger");
  const headers = identityHeaders(identity ?? { runtimeId, token: "wrong" });
  const { body } = await host.handshake({ selfId: "logger" }, headers);
  expect(body.runtimeId).toMatch(/^logger-/);
  expect(body.runtimeId).not.toBe(runtimeId);
});

test.each([
  { way: "as a bearer token", headers: { authorization: `Bearer ${joinToken}` }, prefix: "" },
  { way: "in the path", headers: {}, prefix: `/_join/${joinToken}` },
  { way: "in the path of a URL that ends with a slash", headers: {}, prefix: `/_join/${joinToken}/` },
  {
    way: "in the path, beside an identity of an earlier host",
    headers: identityHeaders({ runtimeId: "logger-0000", token: "x" }),
    prefix: `/_join/${joinToken}`,
  },
])("a host beyond loopback admits who brings the join token $way", async ({ headers, prefix }) => {
  await using host = await ContractHost.start({ joinToken }, everywhere);
  const { body } = await host.handshake({ selfId: "logger" }, headers, prefix);
  expect(body.runtimeId).toMatch(/^logger-/);
});

test.each([
  { what: "no token", headers: {}, prefix: "" },
  { what: "a wrong bearer token", headers: { authorization: "Bearer join-token-2" }, prefix: "" },
  { what: "a wrong token in the path", headers: {}, prefix: "/_join/join-token-2" },
  { what: "a token in front of the join prefix", headers: {}, prefix: `/_launch/${joinToken}` },
])("a host beyond loopback gives no identity for $what", async ({ headers, prefix }) => {
  await using host = await ContractHost.start({ joinToken }, everywhere);
  const reply = await host.handshake({ selfId: "logger" }, headers, prefix);
  expect(reply).toMatchObject({ code: "unauthenticated", status: 401 });
  expect(reply.message).not.toContain("join-token");
  // Who only asks whether this is the right host may know.
  expect((await host.handshake({}, headers, prefix)).code).toBeUndefined();
});

test("open admission beyond loopback is possible if it is asked for", async () => {
  await using host = await ContractHost.start({ allowOpenAdmission: true }, everywhere);
  expect((await host.handshake({ selfId: "logger" })).body.runtimeId).toMatch(/^logger-/);
});

test("a host beyond loopback with neither join token nor open admission does not start", async () => {
  await expect(ContractHost.start({}, everywhere)).rejects.toMatchObject({
    code: "LISTEN_REFUSED",
    message: expect.stringMatching(/joinToken.*allowOpenAdmission/),
  });
});

test("every path of the host can have the join prefix, and a good identity counts under it", async () => {
  await using host = await ContractHost.start({ joinToken });
  const member = await host.join("logger");
  const prefix = `/_join/${joinToken}`;
  expect((await host.rpc("ReportHealth", {}, member.headers, prefix)).code).toBeUndefined();
  expect((await host.raw({ method: "GET", path: `${prefix}/healthz` })).text).toBe("ok\n");
  // The join token is good for joining only.
  expect((await host.rpc("ReportHealth", {}, {}, prefix)).code).toBe("unauthenticated");
});

test("over a Unix socket anybody may join", async () => {
  const { mkdtemp, rm } = await import("node:fs/promises");
  const folder = await mkdtemp("/tmp/contract-");
  const path = `${folder}/host.sock`;
  try {
    await using host = await ContractHost.start({}, { path });
    const answer = await rawRequest(path, {
      path: "/connectplugin.v1.HandshakeService/Handshake",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ...greeting, selfId: "logger" }),
    });
    expect(toRpcReply(answer).body.runtimeId).toMatch(/^logger-/);
    expect(host.platform.url).toBe(`unix:${path}`);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("at the limit of identities a handshake is refused as resource_exhausted", async () => {
  await using host = await ContractHost.start({ maxIdentities: 1 });
  await host.join("logger");
  expect(await host.handshake({ selfId: "cache" })).toMatchObject({ code: "resource_exhausted", status: 429 });
});

test("nobody sees a plugin that did no more than shake hands", async () => {
  await using host = await ContractHost.start();
  await host.join("logger");
  expect(host.platform.plugins()).toEqual([]);
});
