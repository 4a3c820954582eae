import type { Client } from "@connectrpc/connect";
import { expect, onTestFinished, test } from "vitest";
import { definePlugin, servePlugin } from "../../src/plugin/index.js";
import { echoOnly } from "../support/echo-plugin.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { startHost } from "../support/host.js";
import { startCaller, ways } from "../support/running-caller.js";

const echo = definePlugin({
  id: "echo",
  version: "1.0.0",
  provides: { echo: { service: Echo } },
  setup: () => ({ echo: echoOnly("echo") }),
});

/** What this process was warned of while the test ran. */
function warnings(): () => Promise<readonly string[]> {
  const seen: string[] = [];
  const take = ({ name, message }: Error): void => void seen.push(`${name}: ${message}`);
  process.on("warning", take);
  onTestFinished(() => void process.off("warning", take));
  return async () => {
    // They are told of in a turn of their own.
    await new Promise((resolve) => setImmediate(resolve));
    return seen;
  };
}

const providers = {
  "over HTTP": (hostUrl: string) => servePlugin(echo, { hostUrl, env: {}, link: "off" }),
  "in memory": undefined,
};

test.each(ways.flatMap((way) => Object.keys(providers).map((how) => [way, how as keyof typeof providers] as const)))(
  "a time that no timer can wait for is as good as none: caller %s, provider %s",
  async (way, how) => {
    await using host = await startHost();
    const served = await providers[how]?.(host.url);
    onTestFinished(() => served?.stop());
    if (served === undefined) await host.platform.addPlugin({ module: echo });
    await using caller = await startCaller(way, host, { echo: { service: Echo } });
    const client = caller.context.client("echo" as never) as Client<typeof Echo>;
    const told = warnings();
    for (const timeoutMs of [9_999_999_999, 2 ** 31 + 0.5]) {
      expect((await client.say({ text: "a" }, { timeoutMs })).text).toBe("a");
    }
    expect(await told()).toEqual([]);
  },
);

test.each(ways)("a time of a caller need not be a whole number of milliseconds, %s", async (way) => {
  await using host = await startHost();
  await using provider = await servePlugin(echo, { hostUrl: host.url, env: {}, link: "off" });
  expect(provider.url).not.toBe("");
  await using caller = await startCaller(way, host, { echo: { service: Echo } });
  const client = caller.context.client("echo" as never) as Client<typeof Echo>;
  expect((await client.say({ text: "a" }, { timeoutMs: 1_000.5 })).text).toBe("a");
  const indexes: number[] = [];
  for await (const { index } of client.serverStream({ text: "a", count: 2 }, { timeoutMs: 1_000.5 }))
    indexes.push(index);
  expect(indexes).toEqual([0, 1]);
});
