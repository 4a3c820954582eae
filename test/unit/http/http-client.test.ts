import { once } from "node:events";
import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { HttpClient } from "../../../src/http/http-client.js";
import { deferred } from "../../../src/internal/deferred.js";
import { within } from "../../support/http-server.js";

/** A server that answers at once, keeps its connections, and reads the rest of a request for as long as it comes. */
async function startHasty() {
  const sockets: Socket[] = [];
  let onClosed = (): void => {};
  /** The first connection is closed. */
  const closed = new Promise<void>((resolve) => {
    onClosed = resolve;
  });
  const server = http.createServer((req, res) => {
    if (!sockets.includes(req.socket)) sockets.push(req.socket.once("close", onClosed));
    req.on("error", () => {}).resume();
    res.setHeader("content-length", 3).end("yes");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const client = new HttpClient({
    origin: `http://127.0.0.1:${port}`,
    prefix: "",
    connect: undefined,
    inMemory: false,
  });
  onTestFinished(() => {
    client.close();
    server.closeAllConnections();
    server.close();
  });
  const send = async (body: AsyncIterable<Uint8Array>) => {
    const header = new Headers({ "content-type": "text/plain" });
    const shape = "streamed" as const;
    const answer = await client.send({ path: "/", method: "POST", header, body, shape });
    let text = "";
    for await (const chunk of answer.body) text += Buffer.from(chunk).toString();
    return text;
  };
  return { sockets, closed, send };
}

async function* single(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

test("a request whose answer is complete is given up, with its connection, and the next call has another", async () => {
  const { sockets, closed, send } = await startHasty();
  const left = deferred();
  async function* endless(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        yield Buffer.from("more");
        await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      left.resolve();
    }
  }
  expect(await within(2_000, "the answer", send(endless()))).toBe("yes");
  await within(2_000, "the end of the body", left.promise);
  await within(2_000, "the end of the connection", closed);
  expect(await within(2_000, "the next answer", send(single("x")))).toBe("yes");
  expect(sockets).toHaveLength(2);
});

test("a connection whose requests were sent as a whole is used again", async () => {
  const { sockets, send } = await startHasty();
  for (let call = 0; call < 3; call++) expect(await within(2_000, "the answer", send(single("x")))).toBe("yes");
  expect(sockets).toHaveLength(1);
});
