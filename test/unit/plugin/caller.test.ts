import http from "node:http";
import { expect, test } from "vitest";
import { callerOf } from "../../../src/plugin/index.js";

test.each([
  {
    headers: { "x-plugin-caller-id": "app-1", "x-plugin-caller-self-id": "app" },
    caller: { kind: "plugin", runtimeId: "app-1", selfId: "app" },
  },
  {
    headers: { "x-plugin-caller-id": "a%20b-1", "x-plugin-caller-self-id": "A%20b" },
    caller: { kind: "plugin", runtimeId: "a b-1", selfId: "A b" },
  },
  { headers: { "x-plugin-caller-id": "host" }, caller: { kind: "host" } },
  {
    headers: { "x-plugin-caller-id": "host", "x-plugin-caller-self-id": "sly" },
    caller: { kind: "plugin", runtimeId: "host", selfId: "sly" },
  },
  { headers: { "x-plugin-caller-id": "ingress" }, caller: { kind: "ingress", user: undefined } },
  { headers: { "x-plugin-caller-id": "ingress:%C3%A4nn:1" }, caller: { kind: "ingress", user: "\u00e4nn:1" } },
  { headers: { "x-plugin-caller-id": "50%" }, caller: { kind: "unknown" } },
  { headers: {}, caller: { kind: "unknown" } },
])("$headers is $caller, in each kind of handler", ({ headers, caller }) => {
  const fields = new Headers(Object.entries(headers));
  expect(callerOf({ requestHeader: fields })).toEqual(caller);
  expect(callerOf(new Request("http://plugin/", { headers: fields }))).toEqual(caller);
  const message = new http.IncomingMessage(undefined as never);
  message.headers = headers;
  expect(callerOf(message)).toEqual(caller);
});
