import { expect, test } from "vitest";
import { resolveWorkerSource, type WorkerSource } from "../../../src/launch/worker-source.js";

const worker = "/plugins/cache.js";

test.each([
  { worker, why: "an absolute path" },
  { worker: "file:///plugins/cache.js", why: "a URL as text" },
  { worker: new URL("file:///plugins/cache.js"), why: "a URL" },
])("a worker's module may be given as $why", ({ worker }) => {
  expect(resolveWorkerSource({ worker }).module.href).toBe("file:///plugins/cache.js");
});

test("a worker has a watchdog, and no bounds but Node's, unless more is said", () => {
  expect(resolveWorkerSource({ worker })).toMatchObject({
    args: [],
    env: {},
    resourceLimits: {},
    watchdogMs: 10_000,
    maxBufferBytes: Number.POSITIVE_INFINITY,
  });
  expect(resolveWorkerSource({ worker, watchdogMs: false }).watchdogMs).toBe(Number.POSITIVE_INFINITY);
  expect(resolveWorkerSource({ worker, maxBufferMb: 2 }).maxBufferBytes).toBe(2_097_152);
});

test.each<{ given: unknown; field: string }>([
  { given: { worker: "./cache.js" }, field: "worker" },
  { given: { worker: "cache" }, field: "worker" },
  { given: { worker: "http://127.0.0.1/cache.js" }, field: "worker" },
  { given: { worker: 5 }, field: "worker" },
  { given: { worker, args: "x" }, field: "args" },
  { given: { worker, args: [1] }, field: "args[0]" },
  { given: { worker, env: [] }, field: "env" },
  { given: { worker, env: { A: 1 } }, field: "env.A" },
  { given: { worker, env: { A: "a\0b" } }, field: "env.A" },
  { given: { worker, env: { "A=B": "c" } }, field: "env" },
  { given: { worker, watchdogMs: 0 }, field: "watchdogMs" },
  { given: { worker, watchdogMs: "10s" }, field: "watchdogMs" },
  { given: { worker, watchdogMs: true }, field: "watchdogMs" },
  { given: { worker, maxBufferMb: 0 }, field: "maxBufferMb" },
  { given: { worker, maxBufferMb: 10, watchdogMs: false }, field: "maxBufferMb" },
  { given: { worker, resourceLimits: 5 }, field: "resourceLimits" },
  { given: { worker, resourceLimits: { maxHeapMb: 5 } }, field: "resourceLimits.maxHeapMb" },
  { given: { worker, resourceLimits: { stackSizeMb: 0 } }, field: "resourceLimits.stackSizeMb" },
])("a worker with $given is refused by the field $field", ({ given, field }) => {
  expect(() => resolveWorkerSource(given as WorkerSource)).toThrow(expect.objectContaining({ field }));
});
