import assert from "node:assert/strict";
import test from "node:test";
import { Code } from "@connectrpc/connect";
import { stub, testPlugin } from "connect-plugin-host/testing";
import { Logger } from "../gen/logger/v1/logger_pb.js";
import { cachePlugin } from "./plugin.js";

const value = (text: string) => new TextEncoder().encode(text);

const messages = (logger: ReturnType<typeof quietLogger>) => logger.calls("log").map(({ request }) => request.message);
const quietLogger = () => stub(Logger, { log: { acceptedCount: 1n } });

test("what was set is found, and both are noted in the log", async () => {
  const logger = quietLogger();
  await using plugin = await testPlugin(cachePlugin, { dependencies: { logger } });
  const cache = plugin.client("cache");
  assert.equal((await cache.get({ key: "a" })).found, false);
  await cache.set({ key: "a", value: value("one") });
  assert.deepEqual((await cache.get({ key: "a" })).value, value("one"));
  await logger.untilCalled("log", 3);
  assert.deepEqual(messages(logger), ["get a: miss", "set a", "get a: hit"]);
});

test("the cache serves without its logger, is degraded, and delivers its lines when that is back", async () => {
  const logger = quietLogger();
  await using plugin = await testPlugin(cachePlugin, { dependencies: { logger } });
  await plugin.lose("logger");
  await plugin.untilHealth("degraded");
  await plugin.client("cache").set({ key: "a", value: value("one") });
  assert.deepEqual(messages(logger), []);
  await plugin.restore("logger");
  await plugin.untilHealth("healthy");
  await logger.untilCalled("log");
  assert.deepEqual(messages(logger), ["set a"]);
});

test("a logger that refuses lines makes the cache degraded, and nothing is lost", async () => {
  const logger = quietLogger();
  await using plugin = await testPlugin(cachePlugin, { dependencies: { logger } });
  logger.fail("log", Code.ResourceExhausted, "the disk is full");
  const cache = plugin.client("cache");
  await cache.set({ key: "a", value: value("one") });
  await plugin.untilHealth("degraded");
  logger.answer("log", { acceptedCount: 1n });
  await cache.set({ key: "b", value: value("two") });
  await plugin.untilHealth("healthy");
  const delivered = logger.calls("log").filter(({ state }) => state === "answered");
  assert.deepEqual(
    delivered.map(({ request }) => request.message),
    ["set a", "set b"],
  );
});
