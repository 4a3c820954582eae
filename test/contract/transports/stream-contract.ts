import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { deferred } from "../../../src/internal/deferred.js";
import { codeOf, failureOf, readAll, whenAborted } from "./outcome.js";
import type { OpenTransport } from "./transport-under-test.js";

const bigText = "x".repeat(64 * 1024);

/** What calls with streams are like to their callers and to their providers, however they travel. */
export function streamContract(name: string, open: OpenTransport): void {
  describe(`a stream of answers ${name}`, () => {
    test("carries all messages in order, with fields and trailers around them", async () => {
      let seen: Headers | undefined;
      await using peers = await open({
        async *serverStream({ text, count }, context) {
          seen = context.requestHeader;
          context.responseHeader.set("x-answer", "head");
          for (let index = 0; index < count; index++) yield { text, index };
          context.responseTrailer.set("x-end", "tail");
        },
      });
      const fields: (string | null)[] = [];
      const answers = await readAll(
        peers.client.serverStream(
          { text: "a", count: 100 },
          {
            headers: { "x-question": "why" },
            onHeader: (header) => fields.push(header.get("x-answer")),
            onTrailer: (trailer) => fields.push(trailer.get("x-end")),
          },
        ),
      );
      expect(answers.map(({ index }) => index)).toEqual(Array.from({ length: 100 }, (_, index) => index));
      expect(fields).toEqual(["head", "tail"]);
      expect(seen?.get("x-question")).toBe("why");
      expect(seen?.get("x-plugin-caller-self-id")).toBe(peers.caller);
    });

    test("may be empty", async () => {
      await using peers = await open({ async *serverStream() {} });
      expect(await readAll(peers.client.serverStream({}))).toEqual([]);
    });

    test("ends with an error after what came before it", async () => {
      await using peers = await open({
        async *serverStream(_, context) {
          context.responseHeader.set("x-head", "1");
          yield { text: "first" };
          context.responseTrailer.set("x-end", "2");
          throw new ConnectError("no more", Code.ResourceExhausted, { "x-own": "3" });
        },
      });
      const received: { text: string }[] = [];
      const error = await failureOf(readAll(peers.client.serverStream({}), received));
      expect([error.code, error.rawMessage]).toEqual([Code.ResourceExhausted, "no more"]);
      expect(received.map(({ text }) => text)).toEqual(["first"]);
      expect(["x-head", "x-end", "x-own"].map((field) => error.metadata.get(field))).toEqual(["1", "2", "3"]);
    });

    test("fails like a unary call before the first message", async () => {
      await using peers = await open({
        // biome-ignore lint/correctness/useYield: it is what the test is about
        async *serverStream() {
          throw new TypeError("secret");
        },
      });
      const error = await failureOf(readAll(peers.client.serverStream({})));
      expect([error.code, error.rawMessage]).toEqual([Code.Internal, "internal error"]);
    });

    test("fails as unimplemented where there is no implementation", async () => {
      await using peers = await open({});
      expect(await codeOf(readAll(peers.client.serverStream({})))).toBe("Unimplemented");
    });

    test("ends for the provider when the reader leaves", async () => {
      const told = deferred<unknown>();
      const cleaned = deferred();
      await using peers = await open({
        async *serverStream(_, { signal }) {
          void whenAborted(signal).then(told.resolve);
          try {
            for (let index = 0; ; index++) yield { index, text: bigText };
          } finally {
            cleaned.resolve();
          }
        },
      });
      for await (const { index } of peers.client.serverStream({})) if (index === 3) break;
      expect(await told.promise).toMatchObject({ code: Code.Canceled });
      await cleaned.promise;
    });

    test("is canceled on both sides when the caller gives up", async () => {
      const told = deferred<unknown>();
      await using peers = await open({
        async *serverStream(_, { signal }) {
          yield { text: "first" };
          told.resolve(await whenAborted(signal));
        },
      });
      const stop = new AbortController();
      const reading = (async () => {
        for await (const _ of peers.client.serverStream({}, { signal: stop.signal })) stop.abort();
      })();
      expect(await codeOf(reading)).toBe("Canceled");
      expect(await told.promise).toMatchObject({ code: Code.Canceled });
    });

    test("ends at its deadline on both sides", async () => {
      const told = deferred<unknown>();
      await using peers = await open({
        async *serverStream(_, { signal }) {
          yield { text: "first" };
          told.resolve(await whenAborted(signal));
        },
      });
      const received: { text: string }[] = [];
      expect(await codeOf(readAll(peers.client.serverStream({}, { timeoutMs: 200 }), received))).toBe(
        "DeadlineExceeded",
      );
      expect(received.length).toBe(1);
      expect(await told.promise).toBeInstanceOf(ConnectError);
    });

    test("waits for a reader who does not read", async () => {
      let made = 0;
      await using peers = await open({
        say: () => ({}),
        async *serverStream() {
          for (; made < 2_000; made++) yield { text: bigText };
        },
      });
      const answers = peers.client.serverStream({})[Symbol.asyncIterator]();
      await answers.next();
      for (let index = 0; index < 200; index++) await peers.client.say({});
      expect(made).toBeLessThan(1_000);
      let read = 1;
      while ((await answers.next()).done !== true) read += 1;
      expect(read).toBe(2_000);
    });

    test("ends as unavailable when the provider dies, never as complete", async () => {
      await using peers = await open({
        async *serverStream() {
          yield { text: "first" };
          await new Promise(() => {});
        },
      });
      const received: { text: string }[] = [];
      const reading = (async () => {
        for await (const answer of peers.client.serverStream({})) {
          received.push(answer);
          void peers.killProvider();
        }
      })();
      expect(await codeOf(reading)).toBe("Unavailable");
      expect(received.length).toBe(1);
    });
  });

  describe(`a stream of questions ${name}`, () => {
    const join = async (requests: AsyncIterable<{ text: string }>) => {
      const texts: string[] = [];
      for await (const { text } of requests) texts.push(text);
      return { text: texts.join(""), count: texts.length };
    };

    async function* questions(count: number, text = "a"): AsyncGenerator<{ text: string }> {
      for (let index = 0; index < count; index++) yield { text };
    }

    test("carries all messages, and one answer", async () => {
      await using peers = await open({ clientStream: join });
      expect(await peers.client.clientStream(questions(100))).toMatchObject({ text: "a".repeat(100), count: 100 });
      expect(await peers.client.clientStream(questions(0))).toMatchObject({ text: "", count: 0 });
    });

    test("ends for the caller when the provider has had enough", async () => {
      const left = deferred();
      await using peers = await open({
        async clientStream(requests) {
          for await (const { text } of requests) return { text, count: 1 };
          return {};
        },
      });
      async function* endless() {
        try {
          for (;;) {
            yield { text: "a" };
            await new Promise((resolve) => setImmediate(resolve));
          }
        } finally {
          left.resolve();
        }
      }
      expect(await peers.client.clientStream(endless())).toMatchObject({ text: "a", count: 1 });
      await left.promise;
    });

    test("fails with the provider's error while the caller still sends", async () => {
      await using peers = await open({
        async clientStream(requests) {
          for await (const _ of requests) throw new ConnectError("not this one", Code.InvalidArgument);
          return {};
        },
      });
      async function* endless() {
        for (;;) {
          yield { text: "a" };
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
      const error = await failureOf(peers.client.clientStream(endless()));
      expect([error.code, error.rawMessage]).toEqual([Code.InvalidArgument, "not this one"]);
    });

    test("breaks off for the provider when the caller's messages do", async () => {
      const told = deferred<unknown>();
      const begun = deferred();
      await using peers = await open({
        async clientStream(requests) {
          try {
            for await (const _ of requests) begun.resolve();
          } catch (error) {
            told.resolve(error);
          }
          return {};
        },
      });
      async function* broken() {
        yield { text: "a" };
        await begun.promise;
        throw new ConnectError("out of questions", Code.Aborted);
      }
      expect(await codeOf(peers.client.clientStream(broken()))).toBe("Aborted");
      expect(await told.promise).toMatchObject({ code: Code.Canceled });
    });

    test("waits for a provider that does not read", async () => {
      const go = deferred();
      const begun = deferred();
      await using peers = await open({
        say: () => ({}),
        async clientStream(requests) {
          let count = 0;
          for await (const _ of requests) {
            begun.resolve();
            await go.promise;
            count += 1;
          }
          return { count };
        },
      });
      let made = 0;
      async function* big() {
        for (; made < 2_000; made++) yield { text: bigText };
      }
      const call = peers.client.clientStream(big());
      await begun.promise;
      for (let index = 0; index < 200; index++) await peers.client.say({});
      expect(made).toBeLessThan(1_000);
      go.resolve();
      expect((await call).count).toBe(2_000);
    });

    test("fails as unavailable when the provider dies", async () => {
      const begun = deferred();
      await using peers = await open({
        async clientStream(requests) {
          for await (const _ of requests) begun.resolve();
          return {};
        },
      });
      const more = deferred();
      async function* endless() {
        yield { text: "a" };
        await more.promise;
      }
      const outcome = codeOf(peers.client.clientStream(endless()));
      await begun.promise;
      const killed = peers.killProvider();
      expect(await outcome).toBe("Unavailable");
      more.resolve();
      await killed;
    });
  });

  describe(`a stream each way ${name}`, () => {
    /** Messages that are sent one by one. */
    function conversation() {
      const texts: string[] = [];
      let news = deferred();
      let ended = false;
      async function* messages() {
        for (;;) {
          for (let text = texts.shift(); text !== undefined; text = texts.shift()) yield { text };
          if (ended) return;
          await news.promise;
          news = deferred();
        }
      }
      return {
        messages: messages(),
        say(text: string) {
          texts.push(text);
          news.resolve();
        },
        end() {
          ended = true;
          news.resolve();
        },
      };
    }

    test("answers each message before the next is sent", async () => {
      await using peers = await open({
        async *bidiStream(requests) {
          for await (const { text } of requests) yield { text: `${text}!` };
        },
      });
      const talk = conversation();
      const answers = peers.client.bidiStream(talk.messages)[Symbol.asyncIterator]();
      for (let index = 0; index < 20; index++) {
        talk.say(String(index));
        expect(await answers.next()).toMatchObject({ done: false, value: { text: `${index}!` } });
      }
      talk.end();
      expect((await answers.next()).done).toBe(true);
    });

    test("lets the provider speak first, and go on when the caller has ended", async () => {
      await using peers = await open({
        async *bidiStream(requests) {
          yield { text: "welcome" };
          let count = 0;
          for await (const _ of requests) count += 1;
          yield { text: `${count} came` };
          yield { text: "goodbye" };
        },
      });
      const talk = conversation();
      const answers = peers.client.bidiStream(talk.messages)[Symbol.asyncIterator]();
      expect((await answers.next()).value).toMatchObject({ text: "welcome" });
      talk.say("a");
      talk.say("b");
      talk.end();
      expect((await answers.next()).value).toMatchObject({ text: "2 came" });
      expect((await answers.next()).value).toMatchObject({ text: "goodbye" });
      expect((await answers.next()).done).toBe(true);
    });

    test("ends when the provider does while the caller still sends", async () => {
      await using peers = await open({
        async *bidiStream(requests) {
          for await (const { text } of requests) {
            yield { text };
            return;
          }
        },
      });
      const talk = conversation();
      talk.say("a");
      const answers = await readAll(peers.client.bidiStream(talk.messages));
      expect(answers.map(({ text }) => text)).toEqual(["a"]);
    });

    test("is canceled on both sides when the caller gives up", async () => {
      const told = deferred<unknown>();
      await using peers = await open({
        async *bidiStream(requests, { signal }) {
          void whenAborted(signal).then(told.resolve);
          for await (const { text } of requests) yield { text };
        },
      });
      const stop = new AbortController();
      const talk = conversation();
      talk.say("a");
      const reading = (async () => {
        for await (const _ of peers.client.bidiStream(talk.messages, { signal: stop.signal })) stop.abort();
      })();
      expect(await codeOf(reading)).toBe("Canceled");
      expect(await told.promise).toMatchObject({ code: Code.Canceled });
      talk.end();
    });

    test("ends as unavailable when the provider dies", async () => {
      await using peers = await open({
        async *bidiStream(requests) {
          for await (const { text } of requests) yield { text };
        },
      });
      const talk = conversation();
      talk.say("a");
      const reading = (async () => {
        for await (const _ of peers.client.bidiStream(talk.messages)) void peers.killProvider();
      })();
      expect(await codeOf(reading)).toBe("Unavailable");
      talk.end();
    });
  });
}
