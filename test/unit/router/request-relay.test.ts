import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import type { ServerExchange } from "../../../src/http/exchange.js";
import { RequestRelay } from "../../../src/router/request-relay.js";
import type { UpstreamCall } from "../../../src/router/upstream.js";

const watcher = { passing: () => true, blocked() {}, requestEnded() {} };

function fakeCall() {
  const written: string[] = [];
  const call = { write: (chunk: Buffer) => written.push(String(chunk)) > 0, end() {} } as unknown as UpstreamCall;
  return { call, written };
}

test("a piece that comes between two tries reaches the second, though it is more than may be kept", () => {
  const body = new PassThrough();
  const relay = new RequestRelay({ body, requestTrailers: () => [] } as unknown as ServerExchange, 8, watcher);
  const [first, second] = [fakeCall(), fakeCall()];
  relay.begin(first.call);
  body.emit("data", Buffer.from("begin"));
  relay.detach();
  body.emit("data", Buffer.from(" and the rest"));
  expect(relay.repeatable).toBe(true);
  relay.begin(second.call);
  expect(first.written).toEqual(["begin"]);
  expect(second.written.join("")).toBe("begin and the rest");
  expect(relay.bytes).toBe(18);
});
