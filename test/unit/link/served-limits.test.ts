import { create, toBinary } from "@bufbuild/protobuf";
import { Code, type HandlerContext } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { deferred } from "../../../src/internal/deferred.js";
import { callKind } from "../../../src/link/frame.js";
import { serveLinkCalls } from "../../../src/link/serve-link-calls.js";
import type { InProcessMethod } from "../../../src/model/in-process-services.js";
import { ClientStreamRequestSchema, Echo, SayRequestSchema } from "../../support/gen/echo/v1/echo_pb.js";
import { openLinkPair, recorder } from "../../support/link-pair.js";

const messages = { readMaxBytes: 1_000, writeMaxBytes: 2 ** 32 - 1, jsonOptions: {} };

/** Two ends; the methods of one, with a limit, are there once `ready` is resolved. */
async function limitedEcho(isReady = true) {
  const said: unknown[] = [];
  const owner = { refusal: () => undefined, enter() {}, leave() {} };
  const implementations: Readonly<Record<string, (request: never, context: HandlerContext) => unknown>> = {
    "/Say": ({ text }: { text: string }) => {
      said.push(text.length);
      return { text: "said" };
    },
    "/ClientStream": async (requests: AsyncIterable<{ text: string }>) => {
      try {
        for await (const { text } of requests) said.push(text.length);
      } catch (error) {
        said.push((error as { code: Code }).code);
      }
      return { text: "done all the same" };
    },
  };
  const methods = new Map<string, InProcessMethod>();
  const ready = deferred();
  let waiting: Promise<void> | undefined = ready.promise;
  void ready.promise.then(() => {
    waiting = undefined;
    for (const [path, implementation] of Object.entries(implementations)) {
      const method = path === "/Say" ? Echo.method.say : Echo.method.clientStream;
      methods.set(path, {
        method,
        owner,
        messages,
        implementation: implementation as InProcessMethod["implementation"],
      });
    }
  });
  if (isReady) ready.resolve();
  const onCall = serveLinkCalls({
    services: { find: (path) => methods.get(path) },
    ready: () => waiting,
    isHttpOnly: () => false,
    exchange() {},
    onError() {},
  });
  const pair = await openLinkPair({ onCall, limits: { streamWindowBytes: 2_048 } });
  return { ...pair, said, ready };
}

const say = (letters: number): Uint8Array =>
  toBinary(SayRequestSchema, create(SayRequestSchema, { text: "a".repeat(letters) }));
const part = (letters: number): Uint8Array =>
  toBinary(ClientStreamRequestSchema, create(ClientStreamRequestSchema, { text: "a".repeat(letters) }));
const head = (path: string) => ({
  kind: path === "/Say" ? callKind.unary : callKind.clientStream,
  path,
  deadlineMs: 0,
  fields: [],
});

test("a message that is too large is refused before the rest of it has come, and the link goes on", async () => {
  const { dialler, acceptor, settle, said } = await limitedEcho();
  const answer = recorder();
  const stream = dialler.session.open(head("/Say"), answer);
  // A piece of a message whose end never comes.
  stream.send(say(1_500).subarray(0, 1_200), false);
  await settle();
  expect(answer.log).toEqual([
    `end ${Code.ResourceExhausted} message size is larger than configured readMaxBytes 1000`,
  ]);
  expect(said).toEqual([]);
  expect(acceptor.session.stats).toMatchObject({ openStreams: 0, unreadBytes: 0 });
  const next = recorder();
  dialler.session.open(head("/Say"), next, say(900), true);
  await settle();
  expect(next.log.at(-1)).toBe("end 0");
  expect(said).toEqual([900]);
});

test("a call that came before the plugin was ready is held to the limit all the same", async () => {
  const { dialler, settle, said, ready } = await limitedEcho(false);
  const [tooLarge, fits] = [recorder(), recorder()];
  dialler.session.open(head("/Say"), tooLarge, say(1_500), true);
  dialler.session.open(head("/Say"), fits, say(900), true);
  await settle();
  expect([tooLarge.log, fits.log]).toEqual([[], []]);
  ready.resolve();
  await ready.promise;
  await settle();
  expect(tooLarge.log).toEqual([expect.stringContaining(`end ${Code.ResourceExhausted} `)]);
  expect(fits.log.at(-1)).toBe("end 0");
  expect(said).toEqual([900]);
});

test("a stream that came before the plugin was ready ends for its reader at the message that is too large", async () => {
  const { dialler, acceptor, settle, said, ready } = await limitedEcho(false);
  const answer = recorder();
  const stream = dialler.session.open(head("/ClientStream"), answer);
  for (const letters of [5, 1_100, 6]) stream.send(part(letters));
  await settle();
  ready.resolve();
  await ready.promise;
  await settle();
  stream.send(part(7));
  stream.end();
  await settle();
  expect(said).toEqual([5, Code.ResourceExhausted]);
  expect(answer.log.at(-1)).toBe("end 0");
  expect(acceptor.session.stats).toMatchObject({ openStreams: 0, unreadBytes: 0 });
});

test("an implementation that reads a stream learns of it, and may answer; what follows is dropped, and keeps nobody waiting", async () => {
  const { dialler, acceptor, settle, said } = await limitedEcho();
  const answer = recorder();
  const stream = dialler.session.open(head("/ClientStream"), answer);
  stream.send(part(5));
  await settle();
  for (let sent = 0; sent < 5; sent++) stream.send(part(1_500));
  stream.end();
  await settle();
  expect(said).toEqual([5, Code.ResourceExhausted]);
  expect(answer.log.at(-1)).toBe("end 0");
  expect(acceptor.session.stats).toMatchObject({ openStreams: 0, unreadBytes: 0 });
});

test("what follows a message that is too large is not given to its handler, not even the rest of it", async () => {
  const handler = recorder({ maxMessageBytes: 8, onTooLarge: () => void handler.log.push("too large") });
  const { dialler, acceptor, settle } = await openLinkPair({
    onCall: (stream) => {
      handler.stream = stream;
      return handler;
    },
  });
  const stream = dialler.session.open({ ...head("/ClientStream"), kind: callKind.bidi }, recorder());
  stream.send(Buffer.from("12345678"));
  for (const [piece, endOfMessage] of [
    ["12345", false],
    ["6789", false],
    ["0", true],
    ["next", true],
  ] as const) {
    stream.send(Buffer.from(piece), endOfMessage);
  }
  stream.end();
  await settle();
  expect(handler.log).toEqual(["data 12345678", "too large", "end 0"]);
  expect(acceptor.session.stats).toMatchObject({ unreadBytes: 0 });
});
