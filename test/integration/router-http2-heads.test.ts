import { describe, expect, test } from "vitest";
import { startCall, within } from "../support/http-server.js";
import { type RawFields, type RawRequest, sendRaw } from "../support/http2-frames.js";
import { startRecorder } from "../support/recorder.js";
import { pluginRecord, startRouter } from "../support/router-host.js";

const target = "/services/logger/any/x";

/** A good head, with some pseudo-headers replaced or (undefined) left out, and more fields behind it. */
function head(changes: Readonly<Record<string, string | undefined>>, more: RawFields = []): RawFields {
  const good = { ":method": "POST", ":scheme": "http", ":path": target, ":authority": "h" };
  const pseudo = Object.entries({ ...good, ...changes });
  return [...pseudo.flatMap(([name, value]): RawFields => (value === undefined ? [] : [[name, value]])), ...more];
}

const smuggled = "\r\n\r\nGET /services/logger/any/smuggled HTTP/1.1\r\nHost: h";
const field = (name: string, value: string): RawRequest => ({ fields: head({}, [[name, value]]) });
const pseudo = (name: string, value: string | undefined): RawRequest => ({ fields: head({ [name]: value }) });

/** Fields that nghttp2 leaves out by itself, before anybody else sees them. */
const dropped: readonly (readonly [why: string, request: RawRequest])[] = [
  ["CR LF in a value", field("x-a", `b${smuggled}`)],
  ["CR in a value", field("x-a", "b\rc")],
  ["LF in a value", field("x-a", "b\nc")],
  ["NUL in a value", field("x-a", "b\0c")],
  ["DEL in a value", field("x-a", "b\x7f")],
  ["CR LF in a name", field("x-a: b\r\nx-c", "d")],
  ["a colon in a name", field("x-a:b", "c")],
  ["a space in a name", field("x a", "b")],
  ["an empty name", field("", "b")],
  ["a name that is not ASCII", field("x-\xe9", "b")],
  ["a space in front of a value", field("x-a", " b")],
  ["a tab behind a value", field("x-a", "b\t")],
  ["CR LF in a trailer", { fields: head({}), body: "abc", trailers: [["x-a", `b${smuggled}`]] }],
];

const refused: readonly (readonly [why: string, request: RawRequest])[] = [
  ["a capital in a name", field("X-a", "b")],
  ["connection", field("connection", "close")],
  ["connection that names a field", field("connection", "x-plugin-caller-id")],
  ["keep-alive", field("keep-alive", "timeout=5")],
  ["proxy-connection", field("proxy-connection", "keep-alive")],
  ["transfer-encoding", { fields: head({}, [["transfer-encoding", "chunked"]]), body: `0${smuggled}\r\n\r\n` }],
  ["upgrade", field("upgrade", "websocket")],
  ["te that is not trailers", field("te", "trailers, gzip")],
  ["a path with a space", pseudo(":path", `${target} HTTP/1.1`)],
  ["a path with CR LF", pseudo(":path", `${target} HTTP/1.1${smuggled}`)],
  ["a path with a fragment", pseudo(":path", `${target}#f`)],
  ["a path with a tab", pseudo(":path", `${target}\t`)],
  ["a path that is not ASCII", pseudo(":path", `${target}\xe9`)],
  ["an absolute path", pseudo(":path", `http://h${target}`)],
  ["an empty path", pseudo(":path", "")],
  ["an asterisk", pseudo(":path", "*")],
  ["no path", pseudo(":path", undefined)],
  ["no method", pseudo(":method", undefined)],
  ["a path that is too long", pseudo(":path", `${target}${"y".repeat(16_400)}`)],
  ["an authority with a path", pseudo(":authority", "h/services")],
  ["an authority with a user", pseudo(":authority", "u@h")],
  ["an authority with CR LF", pseudo(":authority", `h${smuggled}`)],
  ["another host than the authority", field("host", "i")],
  [
    "two hosts",
    {
      fields: head({ ":authority": undefined }, [
        ["host", "h"],
        ["host", "h"],
      ]),
    },
  ],
  ["an odd scheme", pseudo(":scheme", "file")],
  ["a scheme with more in it", pseudo(":scheme", `http://x/y?`)],
  ["a small method", pseudo(":method", "get")],
  ["a method with a line", pseudo(":method", `GET ${target} HTTP/1.1\r\nX-A:`)],
  ["an empty method", pseudo(":method", "")],
  ["a method that nobody knows", pseudo(":method", "HACK")],
  ["TRACE", pseudo(":method", "TRACE")],
  [
    "CONNECT",
    {
      fields: [
        [":method", "CONNECT"],
        [":authority", "h:80"],
      ],
    },
  ],
  ["CONNECT with a path", pseudo(":method", "CONNECT")],
  ["extended CONNECT", { fields: head({ ":method": "CONNECT" }, [[":protocol", "websocket"]]) }],
  ["two paths", { fields: [...head({}), [":path", "/services/logger/any/smuggled"]] }],
  ["two methods", { fields: [[":method", "GET"], ...head({})] }],
  ["a pseudo-header behind a field", { fields: [["x-a", "b"], ...head({})] }],
  ["a pseudo-header that nobody knows", field(":hidden", "b")],
  ["a pseudo-header of answers", field(":status", "200")],
  ["a length beyond the body", { fields: head({}, [["content-length", "4"]]), body: "abc" }],
  ["a length below the body", { fields: head({}, [["content-length", "2"]]), body: "abc" }],
  ["a length without a body", field("content-length", "3")],
  [
    "two lengths",
    {
      fields: head({}, [
        ["content-length", "3"],
        ["content-length", "3"],
      ]),
      body: "abc",
    },
  ],
  ["a list of lengths", { fields: head({}, [["content-length", "3, 3"]]), body: "abc" }],
  ["a length with a plus", { fields: head({}, [["content-length", "+3"]]), body: "abc" }],
  ["an empty length", { fields: head({}, [["content-length", ""]]), body: "abc" }],
  ["a pseudo-header in the trailers", { fields: head({}), body: "abc", trailers: [[":path", "/smuggled"]] }],
  ["a coding in the trailers", { fields: head({}), body: "abc", trailers: [["transfer-encoding", "chunked"]] }],
  [
    "too many fields",
    {
      fields: head(
        {},
        Array.from({ length: 201 }, (_, i) => [`x-${i}`, ""] as const),
      ),
    },
  ],
  [
    "too many bytes",
    {
      fields: head(
        {},
        Array.from({ length: 20 }, (_, i) => [`x-${i}`, "y".repeat(2_000)] as const),
      ),
    },
  ],
  ["an expectation that nobody knows", field("expect", "tea")],
];

describe.each(["h1", "h2c"] as const)("with a provider over %s", (protocol) => {
  const start = async () => {
    const recorder = await startRecorder(protocol);
    const host = await startRouter();
    host.view.add(pluginRecord({ address: recorder.provider.address(recorder.protocols) }));
    return {
      host,
      recorder,
      async [Symbol.asyncDispose]() {
        await host[Symbol.asyncDispose]();
        await recorder[Symbol.asyncDispose]();
      },
    };
  };

  test.each(refused)("over HTTP/2, %s is refused and does not reach the provider", async (_why, request) => {
    await using both = await start();
    const { host, recorder } = both;
    const outcome = await within(5_000, "the refusal", sendRaw(host.connect("tcp"), request));
    expect([0, 400, "reset", "goaway"]).toContain(outcome);
    using call = startCall(host, "2", { method: "GET", path: "/services/logger/any/next" });
    call.request.end();
    expect((await within(5_000, "the next call", call.answer())).status).toBe(200);
    expect(recorder.seen.filter(({ path }) => path.includes("smuggled"))).toEqual([]);
    expect(recorder.seen.filter(({ complete }) => complete).map(({ path }) => path)).toEqual(["/next"]);
    expect(host.errors).toEqual([]);
  });

  test.each(dropped)("over HTTP/2, %s never reaches the provider", async (_why, request) => {
    await using both = await start();
    const { host, recorder } = both;
    const outcome = await within(5_000, "the outcome", sendRaw(host.connect("tcp"), request));
    expect([0, 200, 400, "reset", "goaway"]).toContain(outcome);
    using call = startCall(host, "2", { method: "GET", path: "/services/logger/any/next" });
    call.request.end();
    expect((await within(5_000, "the next call", call.answer())).status).toBe(200);
    const paths = recorder.seen.filter(({ complete }) => complete).map(({ path }) => path);
    expect(paths).toEqual(outcome === 200 ? ["/x", "/next"] : ["/next"]);
    for (const { fields } of recorder.seen) {
      expect(fields.filter((name, i) => i % 2 === 0 && !/^(?!x-a|x-c)[a-z][a-z-]*$/.test(name))).toEqual([]);
    }
    expect(host.errors).toEqual([]);
  });

  test("what HTTP/2 says in its own way means the same to the provider", async () => {
    await using both = await start();
    const { host, recorder } = both;
    const fields = head({ ":scheme": "https" }, [
      ["host", "H"],
      ["cookie", "a=b"],
      ["x-a", "caf\xe9"],
      ["cookie", "c=d"],
      ["te", "trailers"],
      ["x-b", ""],
      ["http2-settings", "AAMAAABkAAQAAP__"],
      ["content-length", "3"],
    ]);
    const trailers: RawFields = [
      ["content-length", "99"],
      ["host", "i"],
      ["x-t", "u"],
    ];
    expect(await within(5_000, "the call", sendRaw(host.connect("tcp"), { fields, body: "abc" }))).toBe(200);
    const more = { fields: head({}), body: "d\r\n0\r\n\r\n", trailers };
    const outcome = await within(5_000, "the call with trailers", sendRaw(host.connect("tcp"), more));
    const [first, second] = recorder.seen;
    const fieldOf = (name: string): string | undefined => first?.fields[first.fields.indexOf(name) + 1];
    expect(first).toMatchObject({ method: "POST", path: "/x", body: "abc", complete: true });
    expect(fieldOf("cookie")).toBe("a=b; c=d");
    expect(fieldOf("x-a")).toBe("caf\xe9");
    expect(fieldOf("x-b")).toBe("");
    expect(first?.fields).not.toContain("http2-settings");
    // Framing fields in trailers are either refused or left out.
    if (outcome === 200) expect(second).toMatchObject({ body: "d\r\n0\r\n\r\n", complete: true });
    else expect(second?.complete ?? false).toBe(false);
  });
});
