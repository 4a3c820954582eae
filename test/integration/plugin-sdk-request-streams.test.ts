import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { definePlugin, servePlugin } from "../../src/plugin/index.js";
import { echoOnly } from "../support/echo-plugin.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { startHost } from "../support/host.js";
import { within } from "../support/http-server.js";
import { startCaller, ways } from "../support/running-caller.js";

/** Answers a stream whose first text is `early` without reading on. */
const echo = definePlugin({
  id: "echo",
  version: "1.0.0",
  provides: { echo: { service: Echo } },
  setup: () => ({
    echo: {
      ...echoOnly("echo"),
      async clientStream(requests) {
        let count = 0;
        for await (const { text } of requests) {
          count += 1;
          if (text === "early") break;
        }
        return { count };
      },
    },
  }),
});

/** A caller in one way of a provider that is reached over HTTP. */
async function startPair(way: (typeof ways)[number]) {
  const host = await startHost();
  const provider = await servePlugin(echo, { hostUrl: host.url, env: {}, link: "off" });
  const caller = await startCaller(way, host, { echo: { service: Echo } });
  return {
    client: (caller.context as unknown as { client(type: "echo"): Client<typeof Echo> }).client("echo"),
    async [Symbol.asyncDispose]() {
      await caller[Symbol.asyncDispose]();
      await provider.stop();
      await host[Symbol.asyncDispose]();
    },
  };
}

async function* broken(error: Error): AsyncGenerator<{ text: string }> {
  yield { text: "a" };
  throw error;
}

const errorOf = (call: Promise<unknown>): Promise<ConnectError> =>
  within(
    2_000,
    "the error",
    call.then(
      () => Promise.reject(new Error("the call went well")),
      (error: ConnectError) => error,
    ),
  );

const all = async (messages: AsyncIterable<unknown>): Promise<void> => {
  for await (const _ of messages);
};

test.each(ways)("what the caller's own messages throw is what its call fails with, %s", async (way) => {
  await using pair = await startPair(way);
  const { client } = pair;
  const calls = [
    (error: Error) => client.clientStream(broken(error)),
    (error: Error) => all(client.bidiStream(broken(error))),
  ];
  for (const call of calls) {
    const plain = await errorOf(call(new Error("no such file")));
    expect(plain).toMatchObject({ code: Code.Unknown, rawMessage: "no such file" });
    const own = new ConnectError("half a file", Code.DataLoss, { "x-file": "7" });
    expect(await errorOf(call(own))).toBe(own);
  }
});

test.each(ways)("an answer that comes early is taken whatever the caller's messages cannot do, %s", async (way) => {
  await using pair = await startPair(way);
  const next = async (): Promise<IteratorResult<{ text: string }>> => {
    await new Promise((resolve) => setImmediate(resolve));
    return { done: false, value: { text: "early" } };
  };
  const bare: AsyncIterable<{ text: string }> = { [Symbol.asyncIterator]: () => ({ next }) };
  const stuck: AsyncIterable<{ text: string }> = {
    [Symbol.asyncIterator]: () => ({ next, return: () => new Promise(() => {}) }),
  };
  for (const messages of [bare, stuck]) {
    expect(await within(2_000, "the answer", pair.client.clientStream(messages))).toMatchObject({ count: 1 });
  }
});
