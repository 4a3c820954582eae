import { describe, expect, test } from "vitest";
import type { RequestHead } from "../../../src/http/exchange.js";
import { fieldValue } from "../../../src/http/field-list.js";
import { passedTrailers } from "../../../src/router/hop-by-hop.js";
import { idleMsFor } from "../../../src/router/idle-time.js";
import { requestFields, requestTrailers } from "../../../src/router/request-headers.js";
import { responseFields, responseTrailers } from "../../../src/router/response-headers.js";
import { withoutRepeats } from "../../../src/router/single-value-fields.js";
import { continueTrace, TraceIds } from "../../../src/router/trace-context.js";
import { trustedProxies } from "../../../src/router/trusted-proxies.js";
import { pluginCaller } from "../../support/router-host.js";

const options = {
  publicHost: "",
  trustedProxies: trustedProxies("trustedProxies", []),
  stripUserCredentials: false,
  viaName: "host",
};
const hop = {
  caller: pluginCaller,
  serviceType: "logger",
  protocol: "http",
  traceparent: "tp",
  traceContinued: true,
  elapsedMs: 0,
  trailersPossible: true,
} as const;
const user = { kind: "ingress", user: "ann müller" } as const;

const head = (fields: readonly string[], given: Partial<RequestHead> = {}): RequestHead => ({
  method: "POST",
  target: "/",
  authority: "public.example:80",
  httpVersion: "1.1",
  fields,
  header: (name) => fieldValue(fields, name),
  connection: { transport: "tcp", remoteAddress: "10.0.0.9", encrypted: false, principal: undefined },
  ...given,
});

const sent = (
  fields: readonly string[],
  given: Partial<typeof hop> | { caller: typeof user } = {},
  opts = {},
): ((name: string) => string | undefined) => {
  const out = requestFields(head(fields), { ...hop, ...given }, { ...options, ...opts });
  return (name) => fieldValue(out, name);
};

describe("towards the provider", () => {
  test.each([
    { field: ["connection", "close"], why: "of one connection" },
    { field: ["keep-alive", "timeout=5"], why: "of one connection" },
    { field: ["proxy-connection", "keep-alive"], why: "of one connection" },
    { field: ["proxy-authorization", "Basic x"], why: "for a proxy" },
    { field: ["transfer-encoding", "chunked"], why: "framing" },
    { field: ["upgrade", "h2c"], why: "of one connection" },
    { field: ["http2-settings", "x"], why: "of one connection" },
    { field: ["host", "public.example"], why: "the target's is set instead" },
    { field: ["te", "gzip"], why: "only trailers matters" },
    { field: ["expect", "100-continue"], why: "of one connection" },
    { field: ["authorization", "Bearer token"], why: "a plugin's credentials" },
    { field: ["x-plugin-runtime-id", "app-1"], why: "credentials" },
    { field: ["x-plugin-target", "logger/any"], why: "for the host" },
    { field: ["x-plugin-anything", "x"], why: "the host's to say" },
    { field: ["x_plugin_anything", "x"], why: "read as the same by many frameworks" },
    { field: ["x-forwarded-port", "1"], why: "the host's to say" },
    { field: ["x-forwarded_prefix", "1"], why: "read as the same" },
    { field: ["forwarded", "for=6.6.6.6"], why: "says what X-Forwarded-For says" },
  ])("$field does not go ($why)", ({ field }) => expect(sent(field)(field[0] as string)).toBeUndefined());

  test.each([
    { field: ["te", "gzip, trailers;q=1"], is: "trailers" },
    { field: ["content-type", "a/b"], is: "a/b" },
    { field: ["cookie", "a=1", "cookie", "b=2"], is: "a=1; b=2" },
    { field: ["trailer", "x-sum"], is: "x-sum" },
    { field: ["x-pluginish", "1"], is: "1" },
    { field: ["accept-encoding", "gzip"], is: "gzip" },
    { field: ["tracestate", "a=b"], is: "a=b" },
  ])("$field goes", ({ field, is }) => expect(sent(field)(field[0] as string)).toBe(is));

  test("what Connection names does not go, whatever it is", () => {
    const get = sent(["connection", "X-Secret, close", "x-secret", "1", "x-other", "2"]);
    expect([get("x-secret"), get("x-other")]).toEqual([undefined, "2"]);
  });

  test("what Connection names cannot take the host's own fields away", () => {
    const get = sent(["connection", "x-plugin-caller-id, via, x-forwarded-for"]);
    expect([get("x-plugin-caller-id"), get("via"), get("x-forwarded-for")]).toEqual(["app-1", "1.1 host", "10.0.0.9"]);
  });

  test("the host says who calls, from where, and through whom", () => {
    const get = sent(["x-forwarded-for", "6.6.6.6", "x-plugin-caller-id", "forged", "via", "1.0 other"]);
    expect(get("x-plugin-caller-id")).toBe("app-1");
    expect(get("x-plugin-caller-self-id")).toBe("app");
    expect(get("x-plugin-service")).toBe("logger");
    expect(get("x-forwarded-for")).toBe("10.0.0.9");
    expect(get("x-forwarded-proto")).toBe("http");
    expect(get("x-forwarded-host")).toBe("public.example:80");
    expect(get("via")).toBe("1.0 other, 1.1 host");
    expect(get("traceparent")).toBe("tp");
  });

  test("a user's own credentials go, unless they are to be stripped, and any name fits in a field", () => {
    const fields = ["authorization", "Bearer mine", "cookie", "a=1"];
    const get = sent(fields, { caller: user });
    expect([get("authorization"), get("cookie"), get("x-plugin-caller-self-id")]).toEqual([
      "Bearer mine",
      "a=1",
      undefined,
    ]);
    expect(get("x-plugin-caller-id")).toBe("ingress:ann%20m%C3%BCller");
    const stripped = sent(fields, { caller: user }, { stripUserCredentials: true });
    expect([stripped("authorization"), stripped("cookie")]).toEqual([undefined, undefined]);
  });

  test("a trusted proxy is believed and continued", () => {
    const fields = ["x-forwarded-for", "1.2.3.4", "x-forwarded-proto", "https", "x-forwarded-host", "site"];
    const get = sent(fields, {}, { trustedProxies: trustedProxies("trustedProxies", ["10.0.0.0/8"]) });
    expect([get("x-forwarded-for"), get("x-forwarded-proto"), get("x-forwarded-host")]).toEqual([
      "1.2.3.4, 10.0.0.9",
      "https",
      "site",
    ]);
  });

  test("what is left of a deadline goes on, and the state of a broken trace does not", () => {
    expect(sent(["grpc-timeout", "2S"], { protocol: "grpc", elapsedMs: 500 } as never)("grpc-timeout")).toBe("1500m");
    expect(sent(["grpc-timeout", "2S"], { elapsedMs: 500 } as never)("grpc-timeout")).toBe("2S");
    expect(sent(["tracestate", "a=b"], { traceContinued: false } as never)("tracestate")).toBeUndefined();
    expect(sent(["trailer", "x"], { trailersPossible: false } as never)("trailer")).toBeUndefined();
  });
});

test("towards the caller, fields of the provider's connection do not go, and Via is continued", () => {
  const given = [
    "connection",
    "x-own",
    "x-own",
    "1",
    "keep-alive",
    "timeout=5",
    "transfer-encoding",
    "chunked",
    "set-cookie",
    "a",
    "set-cookie",
    "b",
    "via",
    "1.1 p",
    "trailer",
    "t",
  ];
  expect(responseFields(given, "2.0 host", true)).toEqual([
    "set-cookie",
    "a",
    "set-cookie",
    "b",
    "trailer",
    "t",
    "via",
    "1.1 p, 2.0 host",
  ]);
  expect(responseFields(["link", "x"], undefined, false)).toEqual(["link", "x"]);
  expect(fieldValue(responseFields(["trailer", "t"], "v", false), "trailer")).toBeUndefined();
});

test("fields that may come once are reduced to their first, and nothing else is", () => {
  const once = ["etag", "a", "x", "etag", "x", "y"];
  expect(withoutRepeats(once)).toBe(once);
  expect(withoutRepeats(["etag", "a", "x", "1", "etag", "b", "x", "2"])).toEqual(["etag", "a", "x", "1", "x", "2"]);
});

test("trailers that frame a message are not passed on", () => {
  expect(
    passedTrailers(["grpc-status", "0", "content-length", "3", "transfer-encoding", "x", ":status", "200"]),
  ).toEqual(["grpc-status", "0"]);
});

test("trailers that only the host may send, or that belong to one connection, are not passed on", () => {
  const head = ["connection", "x-own"];
  const sum = ["x-sum", "1"];
  const answers = ["x-plugin-not-sent", "app-1", "x-plugin-provider", "p"];
  const requests = ["x-plugin-caller-id", "admin", "x_forwarded_for", "6.6.6.6", "forwarded", "for=6.6.6.6"];
  const both = ["x-own", "1", "authorization", "Bearer token"];
  expect(requestTrailers([...answers, ...requests, ...both, ...sum], head)).toEqual(sum);
  expect(responseTrailers([...answers, ...both, ...sum], head)).toEqual(sum);
  // Of an answer they mean nothing, and are its provider's own.
  expect(responseTrailers(requests, head)).toBe(requests);
});

describe("the trace", () => {
  const traceId = "0af7651916cd43dd8448eb211c80319c";
  test.each([
    { given: `00-${traceId}-b7ad6b7169203331-00`, continued: true, why: "valid" },
    { given: `cc-${traceId}-b7ad6b7169203331-01-later`, continued: true, why: "a later version" },
    { given: undefined, continued: false, why: "absent" },
    { given: `00-${traceId}-b7ad6b7169203331-01-more`, continued: false, why: "version 00 ends there" },
    { given: `ff-${traceId}-b7ad6b7169203331-01`, continued: false, why: "a forbidden version" },
    { given: `00-${"0".repeat(32)}-b7ad6b7169203331-01`, continued: false, why: "no trace id" },
    { given: `00-${traceId}-${"0".repeat(16)}-01`, continued: false, why: "no span id" },
    { given: `00-${traceId.toUpperCase()}-b7ad6b7169203331-01`, continued: false, why: "upper case" },
  ])("$given is continued: $continued ($why)", ({ given, continued }) => {
    const trace = continueTrace(given, new TraceIds());
    expect(trace.continued).toBe(continued);
    expect(trace.traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/);
    expect(trace.traceparent.includes(traceId)).toBe(continued);
    expect(trace.traceparent).not.toContain("b7ad6b7169203331");
    if (continued) expect(trace.traceparent.slice(-2)).toBe(given?.slice(53, 55));
  });

  test("ids do not repeat over many blocks of randomness", () => {
    const ids = new TraceIds();
    expect(new Set(Array.from({ length: 2_000 }, () => ids.next(8))).size).toBe(2_000);
  });
});

test.each([
  { hint: undefined, is: 4_000 },
  { hint: "timeout=5", is: 4_000 },
  { hint: "timeout=3, max=100", is: 2_000 },
  { hint: "max=1, timeout=1", is: 500 },
  { hint: "timeout=0", is: 0 },
  { hint: "nonsense", is: 4_000 },
])("a connection whose peer says $hint idles $is ms", ({ hint, is }) => expect(idleMsFor(hint, 4_000)).toBe(is));
