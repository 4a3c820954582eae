import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { expect, test } from "vitest";
import {
  type HandshakeRequest,
  HandshakeRequestSchema,
  type HandshakeResponse,
} from "../../../src/gen/connectplugin/v1/handshake_pb.js";
import { type HandshakePort, handshakeRpc } from "../../../src/rpc/handshake-service.js";
import { rpcContext } from "../../support/rpc-context.js";

const good = {
  coreProtocolVersion: 1,
  appProtocolVersion: 7,
  magicCookieKey: "KEY",
  magicCookieValue: "value",
  selfId: "logger",
  selfVersion: "1.0.0",
};

function start(port: Partial<HandshakePort> = {}) {
  const joined: string[] = [];
  const service = handshakeRpc({
    magicCookieKey: "KEY",
    magicCookieValue: "value",
    appProtocolVersion: 7,
    serverVersion: "host/1",
    capabilities: () => [],
    features: () => ["route-any"],
    admissionRefusal: () => undefined,
    join: (selfId) => {
      joined.push(selfId);
      return { runtimeId: `${selfId}-1`, token: "t" };
    },
    refused: () => {},
    hostSecretFor: () => "the-host-secret",
    renew: () => undefined,
    ...port,
  });
  const call = (request: Partial<typeof good>, context: HandlerContext = rpcContext({ kind: "anonymous" })) =>
    service.handshake(
      create(HandshakeRequestSchema, { ...good, ...request }) as HandshakeRequest,
      context,
    ) as Partial<HandshakeResponse>;
  return { call, joined };
}

const bad = {
  cookie: { magicCookieValue: "other" },
  core: { coreProtocolVersion: 2 },
  app: { appProtocolVersion: 8 },
  selfId: { selfId: "9" },
};
const everythingBad = { ...bad.cookie, ...bad.core, ...bad.app, ...bad.selfId };

test.each([
  { first: "cookie", request: everythingBad, code: "COOKIE_MISMATCH" },
  {
    first: "cookie key",
    request: { ...everythingBad, magicCookieKey: "K", magicCookieValue: "value" },
    code: "COOKIE_MISMATCH",
  },
  { first: "core version", request: { ...bad.core, ...bad.app, ...bad.selfId }, code: "CORE_VERSION_MISMATCH" },
  { first: "app version", request: { ...bad.app, ...bad.selfId }, code: "APP_VERSION_MISMATCH" },
  { first: "self id", request: bad.selfId, code: "INVALID_ARGUMENT" },
  { first: "admission", request: {}, code: "UNAUTHENTICATED" },
])("of everything that is wrong the $first is told first", ({ request, code }) => {
  const { call, joined } = start({ admissionRefusal: () => "no" });
  expect(() => call(request)).toThrow(expect.objectContaining({ code }));
  expect(joined).toEqual([]);
});

test("without a self id there is an answer and no identity, whoever asks", () => {
  const { call, joined } = start({ admissionRefusal: () => "no" });
  const answer = call({ selfId: "" });
  expect(answer).toMatchObject({
    coreProtocolVersion: 1,
    appProtocolVersion: 7,
    serverMetadata: { server_version: "host/1" },
  });
  expect(answer.runtimeId).toBeUndefined();
  expect(joined).toEqual([]);
});

test("with a self id there is an identity", () => {
  expect(start().call({})).toMatchObject({ runtimeId: "logger-1", runtimeToken: "t" });
});

test("a good identity of the same self id is renewed, whatever admission says", () => {
  const { call, joined } = start({ admissionRefusal: () => "no", renew: (id) => `new token of ${id}` });
  const context = rpcContext({ kind: "plugin", runtimeId: "logger-9", selfId: "logger" });
  expect(call({}, context)).toMatchObject({ runtimeId: "logger-9", runtimeToken: "new token of logger-9" });
  expect(joined).toEqual([]);
});

test("a good identity of another self id gets a new one", () => {
  const { call, joined } = start({ renew: () => "renewed" });
  const context = rpcContext({ kind: "plugin", runtimeId: "cache-9", selfId: "cache" });
  expect(call({}, context)).toMatchObject({ runtimeId: "logger-1" });
  expect(joined).toEqual(["logger"]);
});

test("an identity that went while it was renewed is no obstacle to a new one", () => {
  const context = rpcContext({ kind: "plugin", runtimeId: "logger-9", selfId: "logger" });
  expect(start().call({}, context)).toMatchObject({ runtimeId: "logger-1" });
});

test("who comes with a dead identity is admitted by what else it brings", () => {
  const { call } = start({ admissionRefusal: ({ kind }) => (kind === "join" ? undefined : "join first") });
  expect(call({}, rpcContext({ refused: "dead", otherwise: { kind: "join" } }))).toMatchObject({
    runtimeId: "logger-1",
  });
  expect(() => call({}, rpcContext({ refused: "dead" }))).toThrow("join first");
});

test("a wrong cookie value is not repeated", () => {
  expect(() => start().call({ magicCookieValue: "s3cret" })).toThrow(
    expect.objectContaining({ message: expect.not.stringContaining("s3cret") }),
  );
});
