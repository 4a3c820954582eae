import { Code, ConnectError, createContextValues } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { DirectCall } from "../../../src/http/direct-call.js";
import { DirectContext } from "../../../src/http/direct-context.js";
import type { ExchangeEnd, ServerExchange } from "../../../src/http/exchange.js";
import { UnaryCallRequest, UnaryCallResponse } from "../../../src/http/unary-context.js";
import { Mixer } from "../../support/mixed-service.js";
import { requestHead } from "../../support/request-head.js";

const method = Mixer.method.mix;
const message = { $typeName: "test.Mixed" };

function callWith(given: { readonly timeoutMs?: number; readonly contentType?: string } = {}) {
  const head = { ...requestHead({ target: "/test.Mixer/Mix?a=b" }), fields: ["x-a", "1", "x-a", "2"] };
  const { timeoutMs, contentType = "application/proto" } = given;
  const usualFields = ["content-type", contentType];
  return new DirectCall({ head } as unknown as ServerExchange, {
    method,
    usualFields,
    timeoutMs,
    contextValues: undefined,
  });
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const codeOf = (signal: AbortSignal): Code => ConnectError.from(signal.reason).code;

describe("the signal", () => {
  test("is the same to everybody, and not aborted while the call goes on", () => {
    const call = callWith();
    const context = new DirectContext(call);
    expect(context.signal).toBe(new UnaryCallRequest(call, message).signal);
    expect(context.signal.aborted).toBe(false);
  });

  test("is aborted at the deadline for who asked before", () => {
    const { signal } = new DirectContext(callWith({ timeoutMs: 100 }));
    vi.advanceTimersByTime(99);
    expect(signal.aborted).toBe(false);
    vi.advanceTimersByTime(1);
    expect(codeOf(signal)).toBe(Code.DeadlineExceeded);
  });

  test("is aborted for who asks only after the deadline, which no timer has told of", () => {
    const context = new DirectContext(callWith({ timeoutMs: 100 }));
    vi.setSystemTime(Date.now() + 100);
    expect(vi.getTimerCount()).toBe(0);
    expect(codeOf(context.signal)).toBe(Code.DeadlineExceeded);
  });

  test("is aborted at once by a timeout of nothing", () => {
    expect(codeOf(new DirectContext(callWith({ timeoutMs: 0 })).signal)).toBe(Code.DeadlineExceeded);
  });

  test.each<[ExchangeEnd["kind"], Code | undefined]>([
    ["completed", undefined],
    ["caller-gone", Code.Canceled],
    ["aborted", Code.Canceled],
  ])("when the exchange ends as %s its reason has the code %s, whenever it is asked for", (kind, code) => {
    const early = callWith();
    const { signal } = early;
    early.exchangeEnded({ kind });
    const late = callWith();
    late.exchangeEnded({ kind });
    for (const seen of [signal, late.signal]) {
      expect(seen.aborted).toBe(code !== undefined);
      if (code !== undefined) expect(codeOf(seen)).toBe(code);
    }
  });

  test("keeps the first of several reasons", () => {
    const late = callWith({ timeoutMs: 100 });
    late.exchangeEnded({ kind: "caller-gone" });
    vi.setSystemTime(Date.now() + 100);
    expect(codeOf(late.signal)).toBe(Code.Canceled);
    const expired = callWith({ timeoutMs: 100 });
    vi.setSystemTime(Date.now() + 100);
    expired.exchangeEnded({ kind: "caller-gone" });
    expect(codeOf(expired.signal)).toBe(Code.DeadlineExceeded);
  });

  test("is aborted by the end of the call, which stops its timer", () => {
    const call = callWith({ timeoutMs: 100 });
    const { signal } = call;
    call.abort();
    expect((signal.reason as Error).name).toBe("AbortError");
    expect(vi.getTimerCount()).toBe(0);
  });

  test("has the error that ended the call as its reason", () => {
    const call = callWith();
    const error = new Error("as it is");
    call.abort(error);
    call.abort();
    expect(call.signal.reason).toBe(error);
  });
});

test("headers of an answer are the usual ones until somebody looks at them", () => {
  const call = callWith({ contentType: "application/json" });
  const context = new DirectContext(call);
  expect(context.requestHeader.get("x-a")).toBe("1, 2");
  expect(call.hasUsualHeaders).toBe(true);
  expect([...context.responseHeader]).toEqual([["content-type", "application/json"]]);
  expect(call.hasUsualHeaders).toBe(false);
  const response = new UnaryCallResponse(call, message);
  expect(response.header).toBe(context.responseHeader);
  expect(response.trailer).toBe(context.responseTrailer);
});

test("a copy of a context has everything that the context has", () => {
  const context = new DirectContext(callWith({ timeoutMs: 100 }));
  const copy = { ...context };
  expect(Object.keys(copy).sort()).toEqual(
    [
      ["method", "service", "requestMethod", "protocolName", "url", "values", "timeoutMs"],
      ["signal", "requestHeader", "responseHeader", "responseTrailer"],
    ]
      .flat()
      .sort(),
  );
  expect(copy.signal).toBe(context.signal);
  expect(copy.requestHeader).toBe(context.requestHeader);
  expect(copy.url).toBe("http://host.invalid/test.Mixer/Mix?a=b");
  expect(copy.timeoutMs()).toBe(100);
  expect(new DirectContext(callWith()).timeoutMs()).toBeUndefined();
});

test("a context works behind a proxy and as a prototype", () => {
  const context = new DirectContext(callWith());
  expect(new Proxy(context, {}).requestHeader).toBe(context.requestHeader);
  expect(Object.create(context).signal).toBe(context.signal);
});

test("what is written to a request stands on that object alone, and is noticed", () => {
  const call = callWith();
  const request = new UnaryCallRequest(call, message) as { header: Headers } & UnaryCallRequest;
  const header = new Headers();
  request.header = header;
  expect(request.header).toBe(header);
  expect(call.requestHeader).not.toBe(header);
  expect(call.overwritten).toBe(true);
});

test("the values of a call are those that were given", () => {
  const values = createContextValues();
  const head = requestHead();
  const init = { method, usualFields: [], timeoutMs: undefined, contextValues: values };
  const call = new DirectCall({ head } as unknown as ServerExchange, init);
  expect(new DirectContext(call).values).toBe(values);
  expect(new UnaryCallRequest(call, message).contextValues).toBe(values);
});
