import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { deferred } from "../../../src/internal/deferred.js";
import { SayRequestSchema, SayResponseSchema } from "../../support/gen/echo/v1/echo_pb.js";
import { codeOf, failureOf, whenAborted } from "./outcome.js";
import type { OpenTransport } from "./transport-under-test.js";

/** What a unary call is like to its caller and to its provider, however it travels. */
export function unaryContract(name: string, open: OpenTransport): void {
  describe(`a unary call ${name}`, () => {
    test("carries a message each way", async () => {
      await using peers = await open({ say: ({ text }) => ({ text: `${text}!`, provider: "p" }) });
      const answer = await peers.client.say({ text: "hi" });
      expect(answer).toEqual(create(SayResponseSchema, { text: "hi!", provider: "p" }));
      expect(await peers.client.say({})).toMatchObject({ text: "!" });
    });

    test("carries fields and trailers each way, and says who calls", async () => {
      let seen: Headers | undefined;
      await using peers = await open({
        say(_, context) {
          seen = context.requestHeader;
          context.responseHeader.set("x-answer", "head");
          context.responseTrailer.set("x-end", "tail");
          return {};
        },
      });
      let header: Headers | undefined;
      let trailer: Headers | undefined;
      await peers.client.say(
        {},
        {
          headers: { "x-question": "why", "x-plugin-caller-id": "somebody else", authorization: "Bearer secret" },
          onHeader: (given) => {
            header = given;
          },
          onTrailer: (given) => {
            trailer = given;
          },
        },
      );
      expect(seen?.get("x-question")).toBe("why");
      expect(seen?.get("x-plugin-caller-self-id")).toBe(peers.caller);
      expect(seen?.get("x-plugin-caller-id")).toMatch(new RegExp(`^${peers.caller}-`));
      expect(seen?.get("x-plugin-service")).toBe("echo");
      expect(seen?.get("traceparent")).toMatch(/^00-/);
      expect(seen?.get("content-type")).toBe("application/proto");
      expect(seen?.has("authorization")).toBe(false);
      expect(header?.get("x-answer")).toBe("head");
      expect(trailer?.get("x-end")).toBe("tail");
    });

    test("gives the provider a context like any other", async () => {
      let seen: HandlerContext | undefined;
      await using peers = await open({
        say(_, context) {
          seen = { ...context };
          return {};
        },
      });
      await peers.client.say({}, { timeoutMs: 60_000 });
      expect(seen).toMatchObject({ protocolName: "connect", requestMethod: "POST", method: { name: "Say" } });
      expect(seen?.timeoutMs()).toBeGreaterThan(0);
      expect(seen?.timeoutMs()).toBeLessThanOrEqual(60_000);
      expect(new URL(seen?.url ?? "").pathname).toBe("/echo.v1.Echo/Say");
      expect(seen?.signal.aborted).toBe(true);
      expect(seen?.requestHeader.get("connect-timeout-ms")).toMatch(/^\d+$/);
    });

    test("carries an error with its code, message, details and metadata", async () => {
      const detail = { desc: SayRequestSchema, value: { text: "why" } };
      await using peers = await open({
        say(_, context) {
          context.responseHeader.set("x-head", "1");
          context.responseTrailer.set("x-end", "2");
          throw new ConnectError("no such text", Code.NotFound, { "x-own": "3" }, [detail]);
        },
      });
      const error = await failureOf(peers.client.say({}));
      expect(error.code).toBe(Code.NotFound);
      expect(error.rawMessage).toBe("no such text");
      expect(error.findDetails(SayRequestSchema)).toEqual([create(SayRequestSchema, { text: "why" })]);
      expect(error.details[0]).toMatchObject({ type: "echo.v1.SayRequest", value: expect.any(Uint8Array) });
      expect(["x-head", "x-end", "x-own"].map((field) => error.metadata.get(field))).toEqual(["1", "2", "3"]);
      expect(error.cause).toBeUndefined();
    });

    test("tells the caller nothing of an error that was not meant for it", async () => {
      await using peers = await open({
        say() {
          throw new TypeError("secret");
        },
      });
      const error = await failureOf(peers.client.say({}));
      expect([error.code, error.rawMessage, error.cause]).toEqual([Code.Internal, "internal error", undefined]);
    });

    test("fails as unimplemented where there is no implementation", async () => {
      await using peers = await open({});
      const error = await failureOf(peers.client.say({}));
      expect([error.code, error.rawMessage]).toEqual([Code.Unimplemented, "echo.v1.Echo.Say is not implemented"]);
    });

    test("ends at its deadline on both sides", async () => {
      const told = deferred<unknown>();
      await using peers = await open({
        async say(_, { signal }) {
          told.resolve(await whenAborted(signal));
          return {};
        },
      });
      expect(await codeOf(peers.client.say({}, { timeoutMs: 50 }))).toBe("DeadlineExceeded");
      expect(await told.promise).toBeInstanceOf(ConnectError);
    });

    test("is canceled on both sides when the caller gives up", async () => {
      const begun = deferred();
      const told = deferred<unknown>();
      await using peers = await open({
        async say(_, { signal }) {
          begun.resolve();
          told.resolve(await whenAborted(signal));
          return {};
        },
      });
      const stop = new AbortController();
      const outcome = failureOf(peers.client.say({}, { signal: stop.signal }));
      await begun.promise;
      stop.abort();
      expect((await outcome).code).toBe(Code.Canceled);
      expect(await told.promise).toMatchObject({ code: Code.Canceled });
    });

    test("does not begin when the caller has given up before", async () => {
      let calls = 0;
      await using peers = await open({
        say() {
          calls += 1;
          return {};
        },
      });
      expect(await codeOf(peers.client.say({}, { signal: AbortSignal.abort() }))).toBe("Canceled");
      await peers.client.say({});
      expect(calls).toBe(1);
    });

    test("carries a large message", async () => {
      await using peers = await open({ say: ({ text }) => ({ text }) });
      const text = "0123456789abcdef".repeat(256 * 1024);
      expect((await peers.client.say({ text })).text === text).toBe(true);
    });

    test("shares nothing between caller and provider", async () => {
      let received: { text: string } | undefined;
      const kept = create(SayResponseSchema, { text: "answer" });
      const begun = deferred();
      const go = deferred();
      await using peers = await open({
        async say(request) {
          received = request;
          begun.resolve();
          await go.promise;
          expect(request.text).toBe("question");
          return kept;
        },
      });
      const question = create(SayRequestSchema, { text: "question" });
      const call = peers.client.say(question);
      question.text = "changed by the caller";
      await begun.promise;
      go.resolve();
      const answer = await call;
      kept.text = "changed by the provider";
      expect(answer.text).toBe("answer");
      expect(received).not.toBe(question);
      (received as { text: string }).text = "changed by the provider";
      expect(question.text).toBe("changed by the caller");
    });

    test("is one of many that each get their own answer", async () => {
      await using peers = await open({
        async say({ text }) {
          await undefined;
          return { text };
        },
      });
      const texts = Array.from({ length: 200 }, (_, index) => String(index));
      const answers = await Promise.all(texts.map((text) => peers.client.say({ text })));
      expect(answers.map(({ text }) => text)).toEqual(texts);
    });

    test("fails as unavailable when the provider dies", async () => {
      const begun = deferred();
      await using peers = await open({
        say() {
          begun.resolve();
          return new Promise(() => {});
        },
      });
      const outcome = failureOf(peers.client.say({}));
      await begun.promise;
      const killed = peers.killProvider();
      const error = await outcome;
      expect(error.code, error.message).toBe(Code.Unavailable);
      expect(error.metadata.get("retry-after")).toBe("1");
      await killed;
    });
  });
}
