import { Code, ConnectError } from "@connectrpc/connect";
import { expect, onTestFinished, test } from "vitest";
import { Http2Calls } from "../../../src/http/http2-calls.js";
import { within } from "../../support/http-server.js";
import { dataFrame, headFrame, resetFrame, startRawHttp2Provider } from "../../support/http2-raw-provider.js";

const noError = 0;

/** What the client reads of an answer with these frames behind its head, all in one piece. */
const answerOf = async (frames: (streamId: number) => readonly Buffer[]): Promise<string> => {
  const server = await startRawHttp2Provider({
    request({ socket }, id) {
      socket.write(Buffer.concat([headFrame(id, [[":status", "200"]]), ...frames(id)]));
    },
  });
  const calls = new Http2Calls({ origin: `http://127.0.0.1:${server.port}` });
  onTestFinished(async () => {
    calls.close();
    await server[Symbol.asyncDispose]();
  });
  const call = { path: "/", method: "GET", header: new Headers(), shape: "streamed" as const };
  const read = async () => {
    const { body } = await calls.send(call, "/");
    let text = "";
    for await (const chunk of body) text += Buffer.from(chunk).toString();
    return text;
  };
  return await within(5_000, "the answer", read());
};

test("a call of the client's over HTTP/2 fails where the host resets the stream without an error before its answer is complete", async () => {
  const error = await answerOf((id) => [dataFrame(id, "half"), resetFrame(id, noError)]).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(ConnectError);
  expect((error as ConnectError).code).toBe(Code.Unavailable);
});

test("a call of the client's over HTTP/2 gets its answer where the host resets the stream without an error behind it", async () => {
  expect(await answerOf((id) => [dataFrame(id, "whole", true), resetFrame(id, noError)])).toBe("whole");
});

test("a call of the client's over HTTP/2 gets its answer where trailers end it, and a reset follows", async () => {
  const trailers = (id: number) => headFrame(id, [["x-t", "1"]], true);
  expect(await answerOf((id) => [dataFrame(id, "whole"), trailers(id), resetFrame(id, noError)])).toBe("whole");
});
