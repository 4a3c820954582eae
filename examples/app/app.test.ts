import assert from "node:assert/strict";
import test from "node:test";
import { Code } from "@connectrpc/connect";
import { stub, testPlugin } from "connect-plugin-host/testing";
import { Cache } from "../gen/cache/v1/cache_pb.js";
import { Logger } from "../gen/logger/v1/logger_pb.js";
import { appPlugin } from "./plugin.js";

test("work is done once for each input: the second time the answer comes from the cache", async () => {
  const kept = new Map<string, Uint8Array>();
  const cache = stub(Cache, {
    get: ({ key }) => ({ found: kept.has(key), value: kept.get(key) ?? new Uint8Array() }),
    set: ({ key, value }) => {
      kept.set(key, value);
      return {};
    },
  });
  await using plugin = await testPlugin(appPlugin, { dependencies: { cache, logger: stub(Logger, { log: {} }) } });
  const app = plugin.client("app");
  const first = await app.handle({ input: "one" });
  assert.deepEqual([first.output, first.fromCache], ["ONE", false]);
  const second = await app.handle({ input: "one" });
  assert.deepEqual([second.output, second.fromCache], ["ONE", true]);
  assert.equal(cache.calls("set").length, 1);
});

test("work does not fail because it could not be noted", async () => {
  const cache = stub(Cache, { get: { found: false }, set: {} });
  const logger = stub(Logger);
  logger.fail("log", Code.Unavailable, "away");
  await using plugin = await testPlugin(appPlugin, { dependencies: { cache, logger } });
  assert.equal((await plugin.client("app").handle({ input: "two" })).output, "TWO");
});

test("without its cache the work cannot be done", async () => {
  await using plugin = await testPlugin(appPlugin, { dependencies: { cache: stub(Cache) } });
  await plugin.lose("cache");
  await assert.rejects(plugin.client("app").handle({ input: "three" }));
});
