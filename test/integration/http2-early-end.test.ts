import { once } from "node:events";
import http2, { type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import net, { type AddressInfo, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { deferred } from "../../src/internal/deferred.js";
import { startServer, within } from "../support/http-server.js";
import { manualClock } from "../support/manual-clock.js";

const mebibyte = 1024 * 1024;

/** A server that answers before it has read anything, and leaves the rest of the request alone. */
async function startHasty(answerBytes: number) {
  const clock = manualClock();
  const answered = deferred();
  const read = deferred();
  const server = await startServer({
    clock,
    limits: { dropTimeoutMs: 60_000 },
    handler: (exchange) => {
      exchange.onEnd(() => answered.resolve());
      exchange.body.on("end", () => read.resolve());
      exchange.respond(200, ["content-type", exchange.head.header("content-type") ?? "text/plain"]);
      if (answerBytes > 0) exchange.write(Buffer.alloc(answerBytes));
      exchange.end(["grpc-status", "0"]);
    },
  });
  onTestFinished(() => server[Symbol.asyncDispose]());
  return { server, clock, answered: answered.promise, read: read.promise };
}

interface SeenAnswer {
  readonly bytes: number;
  readonly status: unknown;
  readonly code: number;
}

/** A request that is never ended; resolves when its stream is closed. */
function openRequest(session: ClientHttp2Session, type: string) {
  const stream: ClientHttp2Stream = session.request({ ":method": "POST", ":path": "/", "content-type": type });
  let bytes = 0;
  let status: unknown;
  stream.on("error", () => {});
  stream.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  stream.on("trailers", (trailers) => {
    status = trailers["grpc-status"];
  });
  stream.write("hello");
  const whole = new Promise<void>((resolve) => stream.on("end", resolve));
  const closed = new Promise<SeenAnswer>((resolve) => {
    stream.on("close", () => resolve({ bytes, status, code: stream.rstCode ?? -1 }));
  });
  return { stream, whole, closed };
}

function connect(port: number): ClientHttp2Session {
  const session = http2.connect(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 64 * mebibyte } });
  session.on("error", () => {}).on("connect", () => session.setLocalWindowSize(64 * mebibyte));
  onTestFinished(() => session.destroy());
  return session;
}

test.each(["application/grpc+proto", "application/connect+json", "application/grpc-web"])(
  "a caller in %s whose answer is complete is told soon that nobody reads its request",
  async (type) => {
    const { server, clock, answered } = await startHasty(10);
    const { whole, closed } = openRequest(connect(server.port), type);
    await within(5_000, "the answer", Promise.all([answered, whole]));
    clock.advance(1_000);
    expect(await within(5_000, "the end of the stream", closed)).toEqual({ bytes: 10, status: "0", code: 0 });
  },
);

test("a caller who sends a body may go on after the answer, and end it", async () => {
  const { server, clock, answered, read } = await startHasty(10);
  const session = connect(server.port);
  const { stream, whole, closed } = openRequest(session, "application/octet-stream");
  await within(5_000, "the answer", Promise.all([answered, whole]));
  clock.advance(30_000);
  // What the server has to say by now it has said before these are over.
  for (let calls = 0; calls < 3; calls++) {
    const other = openRequest(session, "text/plain");
    other.stream.end();
    await within(5_000, "another call", other.closed);
  }
  expect(stream.closed).toBe(false);
  stream.end("the rest");
  await within(5_000, "the rest of the request", read);
  expect(await within(5_000, "the end of the stream", closed)).toEqual({ bytes: 10, status: "0", code: 0 });
});

test("a caller who is slow to read gets the end of its answer before it is told", async () => {
  const answerBytes = 32 * mebibyte;
  const { server, clock } = await startHasty(answerBytes);
  // Passes on nothing of the answer before it is told to, so that the end has to wait in the server.
  const open = deferred();
  const sockets: Socket[] = [];
  const valve = net.createServer((near) => {
    const far = net.connect(server.port, "127.0.0.1");
    sockets.push(near, far);
    for (const socket of [near, far]) socket.on("error", () => {});
    near.pipe(far);
    void open.promise.then(() => far.pipe(near));
  });
  valve.listen(0, "127.0.0.1");
  await once(valve, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    valve.close();
  });
  const { closed } = openRequest(connect((valve.address() as AddressInfo).port), "application/grpc");
  const seen = closed.then((answer) => ({ answer }));
  let outcome: { answer: SeenAnswer } | undefined;
  for (let looks = 0; outcome === undefined; looks++) {
    if (looks === 100) open.resolve();
    clock.advance(50);
    outcome = await Promise.race([seen, new Promise<undefined>((resolve) => setImmediate(resolve, undefined))]);
  }
  expect(outcome.answer).toEqual({ bytes: answerBytes, status: "0", code: 0 });
});
