import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { expect, test } from "vitest";
import { appPlugin } from "../../examples/app/plugin.js";
import { cachePlugin } from "../../examples/cache/plugin.js";
import { App } from "../../examples/gen/app/v1/app_pb.js";
import { Cache } from "../../examples/gen/cache/v1/cache_pb.js";
import { Logger } from "../../examples/gen/logger/v1/logger_pb.js";
import { loggerPlugin } from "../../examples/logger/plugin.js";
import { servePlugin } from "../../src/plugin/index.js";
import { FakeHost } from "../support/fake-host.js";

const transport = (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "1.1" });

test("app calls cache, cache calls logger, and the cache degrades and recovers as the logger goes and returns", async () => {
  await using host = await FakeHost.start();
  const options = { hostUrl: host.url, env: {} };
  const logger = await servePlugin(loggerPlugin, options);
  await using cache = await servePlugin(cachePlugin, options);
  await using app = await servePlugin(appPlugin, options);
  const work = createClient(App, transport(app.url));
  const healthOf = (runtimeId = "") => host.health.get(runtimeId);

  expect(await work.handle({ input: "one" })).toMatchObject({ output: "ONE", fromCache: false });
  expect(await work.handle({ input: "one" })).toMatchObject({ output: "ONE", fromCache: true });
  const linesOf = async (url: string, count: number): Promise<string[]> => {
    const client = createClient(Logger, transport(url));
    for (;;) {
      const { entries } = await client.listEntries({});
      const fromCache = entries.filter(({ callerId }) => callerId === cache.runtimeId).map(({ message }) => message);
      if (fromCache.length >= count) return fromCache;
    }
  };
  expect(await linesOf(logger.url, 3)).toEqual(["get app:one: miss", "set app:one", "get app:one: hit"]);

  await logger.stop();
  await host.untilTrue(() => healthOf(cache.runtimeId)?.state === 2);
  expect(healthOf(cache.runtimeId)).toMatchObject({ unavailableDependencies: ["logger"] });
  expect(await work.handle({ input: "two" })).toMatchObject({ output: "TWO", fromCache: false });

  await using returned = await servePlugin(loggerPlugin, options);
  await host.untilTrue(() => healthOf(cache.runtimeId)?.state === 1);
  expect(await linesOf(returned.url, 2)).toEqual(["get app:two: miss", "set app:two"]);
});

test("a watch of the cache begins with an empty key and then tells changes of its prefix", async () => {
  await using cache = await servePlugin(cachePlugin, { env: {} });
  const client = createClient(Cache, transport(cache.url));
  const seen: string[] = [];
  for await (const { key } of client.watch({ prefix: "a" })) {
    seen.push(key);
    if (seen.length === 2) break;
    await client.set({ key: "b1", value: new Uint8Array(1) });
    await client.set({ key: "a1", value: new Uint8Array(1) });
  }
  expect(seen).toEqual(["", "a1"]);
});
