import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { ExchangeHandler, ServerExchange } from "../../src/http/exchange.js";
import { connectInMemory } from "../../src/http/memory-connection.js";
import { exchangeBytes, startServer, type TestServer, within } from "../support/http-server.js";

const host = "Host: a.example\r\n";
const pay = `POST /pay HTTP/1.1\r\n${host}Content-Length: 2\r\n\r\nab`;
const offer = `Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n`;
const last = `GET /last HTTP/1.1\r\n${host}Connection: close\r\n\r\n`;

const statusesOf = (text: string): number[] =>
  [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status));

function answer(exchange: ServerExchange): void {
  exchange.reply(200, ["content-length", String(exchange.head.target.length)], exchange.head.target);
}

/** Answers at once, but `/pay` only when the test says so. */
function heldPayment(others: ExchangeHandler = answer) {
  let taken: (exchange: ServerExchange) => void = () => {};
  const payment = new Promise<ServerExchange>((resolve) => {
    taken = resolve;
  });
  const handler: ExchangeHandler = (exchange) => (exchange.head.target === "/pay" ? taken(exchange) : others(exchange));
  return { handler, payment: within(1_000, "the request in front", payment) };
}

/** What comes back for `/pay` and what is behind it, which comes before `/pay` is answered. */
async function behindPayment(server: TestServer, payment: Promise<ServerExchange>, behind: string, later: boolean) {
  const socket = server.connect(later ? "memory" : "tcp");
  const text = exchangeBytes(socket, later ? pay : pay + behind);
  const exchange = await payment;
  if (later) socket.write(behind, "latin1");
  for (let turns = 0; turns < 3; turns++) await turn();
  answer(exchange);
  return within(1_000, "closing", text);
}

describe.each([false, true])("behind a request that is being answered (sent later: %s)", (later) => {
  test.each([
    { why: "whitespace before the colon", behind: "GET /z HTTP/1.1\r\nHost : a\r\n\r\n", status: 400 },
    { why: "what is no HTTP", behind: "garbage\r\n\r\n", status: 400 },
    {
      why: "two lengths",
      behind: `POST /z HTTP/1.1\r\n${host}Content-Length: 1\r\nContent-Length: 2\r\n\r\na`,
      status: 400,
    },
    { why: "two Hosts", behind: `GET /z HTTP/1.1\r\n${host}Host: b\r\n\r\n`, status: 400 },
    {
      why: "a head that is too large",
      behind: `GET /z HTTP/1.1\r\n${host}X: ${"x".repeat(40_000)}\r\n\r\n`,
      status: 431,
    },
    { why: "CONNECT", behind: `CONNECT a.example:80 HTTP/1.1\r\n${host}\r\n`, status: 501 },
    {
      why: "a body that is broken",
      behind: `POST /unread HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\nzz\r\n`,
      status: 400,
    },
  ])("$why is refused with $status after that answer, and nothing else is served", async ({ behind, status }) => {
    const targets: string[] = [];
    const { handler, payment } = heldPayment((exchange) => void targets.push(exchange.head.target));
    await using server = await startServer({ handler });
    const text = await behindPayment(server, payment, `${behind}GET /behind HTTP/1.1\r\n${host}\r\n`, later);
    expect(statusesOf(text)).toEqual([200, status]);
    expect(text).toMatch(/^HTTP\/1\.1 200 [\s\S]*\r\n\r\n\/payHTTP\/1\.1 [\s\S]*connection: close\r\n/i);
    expect(targets).toEqual(behind.includes("/unread") ? ["/unread"] : []);
    expect(server.errors).toEqual([]);
  });

  test.each([
    { method: "GET", body: "" },
    { method: "POST", body: "abc" },
  ])("a $method with an offer of h2c is served in its turn, and so is what follows", async ({ method, body }) => {
    const { handler, payment } = heldPayment();
    await using server = await startServer({ handler, onUpgrade: (_req, socket) => void socket.destroy() });
    const length = body === "" ? "" : `Content-Length: ${body.length}\r\n`;
    const up = `${method} /up HTTP/1.1\r\n${host}${offer}${length}\r\n${body}`;
    const text = await behindPayment(server, payment, up + last, later);
    expect(text).toMatch(/\r\n\r\n\/payHTTP\/1\.1 200 [\s\S]*\r\n\r\n\/up/);
    // Newer versions of Node read nothing behind a body that was sent with such an offer.
    if (body === "") expect(text).toMatch(/\r\n\r\n\/last$/);
  });

  test("an upgrade is handed over when that answer has left, with what was sent behind it", async () => {
    const { handler, payment } = heldPayment();
    await using server = await startServer({
      handler,
      onUpgrade: (req, socket, head) => void socket.end(`HTTP/1.1 101 Switching Protocols\r\n\r\n${req.url} ${head}`),
    });
    const upgrade = `GET /ws HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly`;
    const text = await behindPayment(server, payment, upgrade, later);
    expect(text).toMatch(/^HTTP\/1\.1 200 [\s\S]*\r\n\r\n\/payHTTP\/1\.1 101 Switching Protocols\r\n\r\n\/ws early$/);
  });

  test("an answer that breaks off ends the connection only after that one, and nothing behind it is served", async () => {
    const targets: string[] = [];
    const ends: unknown[] = [];
    const { handler, payment } = heldPayment((exchange) => {
      targets.push(exchange.head.target);
      exchange.onEnd((end) => ends.push(end.kind));
      exchange.respond(200, ["content-length", "10"]);
      exchange.write(Buffer.from("part"));
      exchange.abort();
      exchange.write(Buffer.from("more"));
    });
    await using server = await startServer({ handler });
    const text = await behindPayment(server, payment, `GET /cut HTTP/1.1\r\n${host}\r\n${last}`, later);
    expect(text).toMatch(/^HTTP\/1\.1 200 [\s\S]*\r\n\r\n\/pay$/);
    expect(targets).toEqual(["/cut"]);
    expect(ends).toEqual(["aborted"]);
  });
});

test.each([
  { what: "an offer of h2c", behind: `GET /up HTTP/1.1\r\n${host}${offer}\r\n${last}`, statuses: [200, 200, 200] },
  { what: "CONNECT", behind: `CONNECT a.example:80 HTTP/1.1\r\n${host}\r\n`, statuses: [200, 501] },
  {
    what: "CONNECT after a refusal",
    behind: `GET /#a HTTP/1.1\r\n${host}\r\nCONNECT a:1 HTTP/1.1\r\n${host}\r\n`,
    statuses: [200, 400],
  },
])("an answer larger than all buffers arrives whole in front of $what", async ({ behind, statuses }) => {
  const piece = Buffer.alloc(256 * 1024, "x");
  const pieces = 48;
  const { handler, payment } = heldPayment();
  await using server = await startServer({ handler });
  const socket = server.connect("tcp");
  socket.pause();
  socket.write(pay + behind);
  const exchange = await payment;
  exchange.respond(200, ["content-length", String(piece.length * pieces)]);
  let left = pieces;
  const write = (): void => {
    while (left > 0) {
      left -= 1;
      if (!exchange.write(piece)) return void exchange.response.once("drain", write);
    }
    exchange.end();
  };
  write();
  expect(left).toBeGreaterThan(0);
  const received = exchangeBytes(socket);
  socket.resume();
  const text = await within(3_000, "closing", received);
  expect(text.split("x".repeat(1_000)).length - 1).toBe(Math.floor((piece.length * pieces) / 1_000));
  expect(statusesOf(text)).toEqual(statuses);
});

test("a caller who leaves while an offer of h2c waits is seen to be gone", async () => {
  const { handler, payment } = heldPayment();
  await using server = await startServer({ handler });
  const socket = server.connect("tcp");
  socket.write(`${pay}GET /up HTTP/1.1\r\n${host}${offer}\r\n`);
  const exchange = await payment;
  const ended = new Promise((resolve) => exchange.onEnd(({ kind }) => resolve(kind)));
  socket.destroy();
  expect(await within(1_000, "the end", ended)).toBe("caller-gone");
});

test("offers of h2c on a kept connection leave nothing on it", async () => {
  await using server = await startServer({ handler: answer });
  const [mine, its] = connectInMemory();
  server.server.accept(its, { transport: "memory" });
  const listeners = (): number => its.eventNames().reduce((sum, name) => sum + its.listenerCount(name), 0);
  const counts: number[] = [];
  for (let round = 0; round < 20; round++) {
    const answered = new Promise((resolve) => mine.once("data", resolve));
    mine.write(`GET /up HTTP/1.1\r\n${host}${offer}\r\n`);
    await within(1_000, "the answer", answered);
    await turn();
    counts.push(listeners());
  }
  expect(new Set(counts).size).toBe(1);
  mine.destroy();
});

test("1xx answers of a request wait for the answers in front", async () => {
  const { handler, payment } = heldPayment((exchange) => {
    exchange.informational(103, ["link", "</a>; rel=preload"]);
    exchange.informational(104, ["x-step", "2"]);
    answer(exchange);
  });
  await using server = await startServer({ handler });
  const text = await behindPayment(server, payment, last, false);
  expect(statusesOf(text)).toEqual([200, 103, 104, 200]);
  expect(text).toContain(
    "/payHTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\nHTTP/1.1 104 \r\nx-step: 2\r\n\r\n",
  );
});
