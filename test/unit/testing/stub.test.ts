import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { manualClock, type StubAnswers, type StubOptions, stub } from "../../../src/testing/index.js";
import { Echo } from "../../support/gen/echo/v1/echo_pb.js";

function echoStub(answers: StubAnswers<typeof Echo> = {}, options?: StubOptions) {
  const echo = stub(Echo, answers, options);
  const transport = createRouterTransport(({ service }) => void service(Echo, echo.implementation));
  return { echo, client: createClient(Echo, transport) };
}

const failure = (promise: Promise<unknown>): Promise<ConnectError> =>
  promise.then(
    () => expect.fail("it should have failed"),
    (error: unknown) => ConnectError.from(error),
  );

async function textsOf(answers: AsyncIterable<{ readonly text: string }>): Promise<string[]> {
  const all: string[] = [];
  for await (const { text } of answers) all.push(text);
  return all;
}

async function* texts(...all: string[]) {
  for (const text of all) yield { text };
}

test("a stub answers with a value or a function, and remembers its calls with their requests", async () => {
  const { echo, client } = echoStub({ say: { text: "fixed", provider: "stub" } });
  expect(await client.say({ text: "one" })).toMatchObject({ text: "fixed" });
  echo.answer("say", ({ text }) => ({ text: text.toUpperCase() }));
  expect(await client.say({ text: "two" }, { headers: { "x-plugin-caller-id": "app-1" } })).toMatchObject({
    text: "TWO",
  });
  const calls = echo.calls("say");
  expect(calls.map(({ request, callerId, state }) => [request.text, callerId, state])).toEqual([
    ["one", "", "answered"],
    ["two", "app-1", "answered"],
  ]);
});

test("streams are answered with a list or a generator, and all requests of a stream are remembered", async () => {
  const { echo, client } = echoStub({
    serverStream: [
      { text: "a", index: 0 },
      { text: "b", index: 1 },
    ],
    clientStream: async (requests) => {
      let count = 0;
      for await (const _ of requests) count += 1;
      return { count };
    },
    async *bidiStream(requests) {
      for await (const { text } of requests) yield { text: `${text}!` };
    },
  });
  expect(await textsOf(client.serverStream({}))).toEqual(["a", "b"]);
  expect(await client.clientStream(texts("x", "y"))).toMatchObject({ count: 2 });
  expect(await textsOf(client.bidiStream(texts("p", "q")))).toEqual(["p!", "q!"]);
  expect(echo.calls("clientStream")[0]?.requests.map(({ text }) => text)).toEqual(["x", "y"]);
  expect(echo.allCalls().map(({ method, state }) => `${method} ${state}`)).toEqual([
    "serverStream answered",
    "clientStream answered",
    "bidiStream answered",
  ]);
});

test("a method without an answer is unimplemented, and says which stub misses it", async () => {
  const { echo, client } = echoStub();
  const error = await failure(client.say({}));
  expect(error.code).toBe(Code.Unimplemented);
  expect(error.rawMessage).toBe("the stub of echo.v1.Echo has no answer for say; give it one");
  expect(echo.calls("say").map(({ state }) => state)).toEqual(["failed"]);
});

test("an answer for a method that the service does not have is refused by its name", () => {
  expect(() => stub(Echo, { sya: {} } as never)).toThrow(
    expect.objectContaining({ code: "INVALID_ARGUMENT", message: expect.stringContaining("sya is no method of") }),
  );
});

test("a stub fails as it is told, until it is told to answer again", async () => {
  const { echo, client } = echoStub({ say: { text: "well" } });
  echo.fail("say", Code.Unavailable, "away");
  expect(await failure(client.say({}))).toMatchObject({ code: Code.Unavailable, rawMessage: "away" });
  echo.fail("say", new ConnectError("full", Code.ResourceExhausted));
  expect((await failure(client.say({}))).code).toBe(Code.ResourceExhausted);
  echo.reset();
  expect(await client.say({})).toMatchObject({ text: "well" });
  expect(echo.calls("say")).toHaveLength(1);
});

test("calls on hold wait until they are released, and those that follow do not", async () => {
  const { echo, client } = echoStub({ say: { text: "at last" } });
  const hold = echo.hold("say");
  const answer = client.say({});
  expect((await echo.untilCalled("say")).state).toBe("open");
  hold.release();
  hold.release();
  expect(await answer).toMatchObject({ text: "at last" });
  expect(await client.say({})).toMatchObject({ text: "at last" });
});

test("a call whose caller has left is cancelled", async () => {
  const { echo, client } = echoStub({ say: {} });
  echo.hold("say");
  const caller = new AbortController();
  const answer = failure(client.say({}, { signal: caller.signal }));
  const call = await echo.untilCalled("say");
  caller.abort();
  expect((await answer).code).toBe(Code.Canceled);
  expect(call.state).toBe("cancelled");
});

test("a delay passes by the stub's clock", async () => {
  const clock = manualClock();
  const { echo, client } = echoStub({ say: { text: "slow" } }, { clock });
  echo.delay("say", 60_000);
  let answered = false;
  const answer = client.say({}).then((result) => {
    answered = true;
    return result;
  });
  await echo.untilCalled("say");
  await clock.advanceAsync(59_999);
  expect(answered).toBe(false);
  await clock.advanceAsync(1);
  expect(await answer).toMatchObject({ text: "slow" });
});

test("waiting for a call that never comes ends with what was seen instead", async () => {
  const { echo, client } = echoStub({ say: {} }, { waitMs: 20 });
  await client.say({});
  await expect(echo.untilCalled("say", 2)).rejects.toThrow("say was called 1 times, not 2: not within 20 ms");
});

test("answers and requests have the types of the service", () => {
  const { echo } = echoStub();
  // @ts-expect-error there is no such method
  expect(() => echo.answer("shout", {})).toThrow("shout is no method");
  // @ts-expect-error the answer has no such field
  echo.answer("say", { txt: "" });
  // @ts-expect-error a stream is answered with a list
  echo.answer("serverStream", { text: "" });
  const text: string | undefined = echo.calls("say")[0]?.request.text;
  expect(text).toBeUndefined();
});
