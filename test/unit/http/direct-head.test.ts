import { validateUniversalHandlerOptions } from "@connectrpc/connect/protocol";
import { describe, expect, test } from "vitest";
import { readUnaryHead } from "../../../src/http/direct-head.js";
import type { ServerExchange } from "../../../src/http/exchange.js";
import { requestHead } from "../../support/request-head.js";

const untouched = { readableFlowing: null, readableDidRead: false, destroyed: false };

function read(
  fields: Record<string, string | readonly string[]>,
  given: { readonly method?: string; readonly body?: Partial<typeof untouched>; readonly options?: object } = {},
) {
  const named = Object.entries(fields).flatMap(([name, values]) => [values].flat().flatMap((value) => [name, value]));
  const exchange = {
    head: { ...requestHead({ method: given.method ?? "POST" }), fields: named },
    body: { ...untouched, ...given.body },
    bodyless: fields["content-length"] === undefined && fields["transfer-encoding"] === undefined,
  };
  const options = validateUniversalHandlerOptions({ readMaxBytes: 100, maxTimeoutMs: 5_000, ...given.options });
  return readUnaryHead(exchange as unknown as ServerExchange, options);
}

const json = { "content-type": "application/json", "content-length": "10" };

test.each([
  ["application/proto", true],
  ["application/json", false],
  ["application/json; charset=utf-8", false],
])("a POST of %s is an ordinary call", (type, binary) => {
  const head = { binary, timeoutMs: undefined, acceptEncoding: undefined };
  expect(read({ ...json, "content-type": type })).toEqual(head);
});

test("a call without a body is an ordinary one", () => {
  expect(read({ "content-type": "application/proto" })).toBeDefined();
});

test("timeout and accepted encodings are read", () => {
  const head = read({ ...json, "connect-timeout-ms": "0250", "accept-encoding": ["br", "gzip"] });
  expect(head).toEqual({ binary: false, timeoutMs: 250, acceptEncoding: "br, gzip" });
});

describe("left to Connect's own handlers", () => {
  test.each<[string, Record<string, string | readonly string[]>]>([
    ["another content type", { ...json, "content-type": "application/grpc" }],
    ["a stream of Connect", { ...json, "content-type": "application/connect+json" }],
    ["an odd spelling", { ...json, "content-type": "Application/JSON" }],
    ["no content type", { "content-length": "1" }],
    ["two content types", { ...json, "content-type": ["application/json", "application/json"] }],
    ["an encoded body", { ...json, "content-encoding": "gzip" }],
    ["an encoding that changes nothing", { ...json, "content-encoding": "identity" }],
    ["a body of unknown length", { "content-type": "application/json", "transfer-encoding": "chunked" }],
    ["a body that is too large", { ...json, "content-length": "101" }],
    ["a length that is no number", { ...json, "content-length": "1e1" }],
    ["a caller who waits to be told to continue", { ...json, expect: "100-continue" }],
    ["two lengths", { ...json, "content-length": ["10", "10"] }],
    ["a timeout that is no number", { ...json, "connect-timeout-ms": "soon" }],
    ["an empty timeout", { ...json, "connect-timeout-ms": "" }],
    ["a timeout beyond the limit", { ...json, "connect-timeout-ms": "5001" }],
    ["two timeouts", { ...json, "connect-timeout-ms": ["1", "2"] }],
    ["two protocol versions", { ...json, "connect-protocol-version": ["1", "1"] }],
  ])("%s", (_why, fields) => {
    expect(read(fields)).toBeUndefined();
  });

  test.each(["GET", "PUT", "post"])("the method %s", (method) => {
    expect(read(json, { method })).toBeUndefined();
  });

  test("a timeout that is longer than a timer can count", () => {
    const options = { maxTimeoutMs: Number.MAX_SAFE_INTEGER };
    expect(read({ ...json, "connect-timeout-ms": "2147483647" }, { options })).toBeDefined();
    expect(read({ ...json, "connect-timeout-ms": "2147483648" }, { options })).toBeUndefined();
  });

  test.each([{ readableFlowing: true }, { readableDidRead: true }, { destroyed: true }])("a body with %j", (body) => {
    expect(read(json, { body: body as object })).toBeUndefined();
  });

  test("a call without the protocol version, where that is required", () => {
    const options = { requireConnectProtocolHeader: true };
    expect(read(json, { options })).toBeUndefined();
    expect(read({ ...json, "connect-protocol-version": "2" }, { options })).toBeUndefined();
    expect(read({ ...json, "connect-protocol-version": "1" }, { options })).toBeDefined();
  });
});
