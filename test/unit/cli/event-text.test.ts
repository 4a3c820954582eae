import { expect, test } from "vitest";
import { eventLine, eventText } from "../../../src/cli/event-text.js";
import { styleFor } from "../../../src/cli/text.js";

const plugin = { runtimeId: "cache-1", selfId: "cache", selfVersion: "1.0.0", origin: "process" };

test.each([
  { name: "plugin-added", details: { plugin }, text: "cache-1 added (cache 1.0.0, process)" },
  { name: "plugin-removed", details: { plugin, reason: "bye" }, text: "cache-1 removed: bye" },
  {
    name: "plugin-replaced",
    details: { before: plugin, after: { ...plugin, runtimeId: "cache-2", selfVersion: "2.0.0" } },
    text: "cache-1 replaced by cache-2 (2.0.0)",
  },
  {
    name: "health",
    details: { runtimeId: "c", health: { state: "degraded", reason: "no logger" }, before: { state: "healthy" } },
    text: "c is degraded, was healthy: no logger",
  },
  {
    name: "health",
    details: { runtimeId: "c", health: { state: "healthy" }, before: { state: "healthy" } },
    text: "c is healthy",
  },
  {
    name: "supervision",
    details: { runtimeId: "c", supervision: { kind: "starting", attempt: 2, by: "schedule", lastError: "" } },
    text: "c starts again, start 2",
  },
  {
    name: "supervision",
    details: { runtimeId: "c", supervision: { kind: "starting", attempt: 0, by: "operator", lastError: "" } },
    text: "c is released, and starts",
  },
  { name: "supervision", details: { runtimeId: "c", supervision: { kind: "running" } }, text: "c runs again" },
  {
    name: "supervision",
    details: { runtimeId: "c", supervision: { kind: "ended", lastError: "code 3; it wrote last:\n  a\n  b" } },
    text: "c is not started again: code 3",
  },
  {
    name: "registered",
    details: { registration: { runtimeId: "c", type: "t", version: "1.0.0" } },
    text: "c offers t 1.0.0",
  },
  {
    name: "unregistered",
    details: { registration: { runtimeId: "c", type: "t", version: "1.0.0" } },
    text: "c no longer offers t 1.0.0",
  },
  {
    name: "step",
    details: { operation: "add", step: "health", state: "started", durationMs: 0 },
    text: "add: health started",
  },
  {
    name: "step",
    details: {
      operation: "remove",
      runtimeId: "c",
      step: "drain",
      state: "failed",
      durationMs: 12.4,
      error: { message: "no" },
    },
    text: "remove c: drain failed in 12 ms: no",
  },
  {
    name: "step",
    details: {
      operation: "restart",
      runtimeId: "c",
      step: "start",
      state: "failed",
      durationMs: 5,
      error: { message: "node exited with code 1; it wrote last:\n  its output, which was told line by line" },
    },
    text: "restart c: start failed in 5 ms: node exited with code 1",
  },
  { name: "output", details: { runtimeId: "c", selfId: "cache", pid: 7, line: "hello" }, text: "c | hello" },
  { name: "output", details: { selfId: "cache", pid: 7, line: "hello" }, text: "cache | hello" },
  { name: "output", details: { pid: 7, line: "hello" }, text: "process 7 | hello" },
  {
    name: "call",
    details: {
      caller: { kind: "plugin", runtimeId: "a" },
      provider: { runtimeId: "c" },
      method: "/x/Y",
      code: "ok",
      durationMs: 3.2,
      reason: "",
    },
    text: "a -> c /x/Y ok in 3 ms",
  },
  {
    name: "call",
    details: {
      caller: { kind: "anonymous" },
      serviceType: "",
      method: "",
      code: "unauthenticated",
      durationMs: 0,
      reason: "who?",
    },
    text: "anonymous -> nobody  unauthenticated in 0 ms: who?",
  },
  { name: "changed", details: { revision: { epoch: "x", number: 5 } }, text: "revision 5" },
  { name: "warning", details: { message: "m", error: { message: "e" } }, text: "warning: m: e" },
  { name: "of-a-newer-host", details: { a: 1 }, text: 'of-a-newer-host {"a":1}' },
  { name: "health", details: {}, text: " is " },
])("$name reads: $text", ({ name, details, text }) => {
  expect(eventText(name, details)).toBe(text);
});

test("a line begins with the time and cannot be broken by what a plugin writes", () => {
  const line = eventLine({ name: "output", at: 0, details: { pid: 1, line: "a\u001b[2J\nb" } }, styleFor(false, {}));
  expect(line).toMatch(/^\d\d:\d\d:00\.000 process 1 \| a\\u001b\[2J b\n$/);
});
