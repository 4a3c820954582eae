import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { PassThrough } from "node:stream";
import { expect, onTestFinished, test } from "vitest";
import type { ServerExchange } from "../../../src/http/exchange.js";
import { WriteBatch } from "../../../src/http/write-batch.js";
import { Http1Connection } from "../../../src/router/http1-connection.js";
import { MemoryRelease } from "../../../src/router/memory-release.js";
import { RequestRelay } from "../../../src/router/request-relay.js";
import type { UpstreamCall } from "../../../src/router/upstream.js";

const large = (): Buffer => Buffer.alloc(65_536, 1);

test("memory is given back at once, from the first piece on", () => {
  const release = new MemoryRelease();
  for (let count = 0; count < 3; count++) {
    const piece = large();
    expect(release.pays(piece)).toBe(true);
    release.release(piece);
    expect([piece.length, piece.buffer.byteLength]).toEqual([0, 0]);
  }
});

test("a piece of something larger is left alone, and so is a small one", () => {
  const release = new MemoryRelease();
  expect(release.pays(large().subarray(1))).toBe(false);
  expect(release.pays(Buffer.from(new ArrayBuffer(65_536), 0, 40_000))).toBe(false);
  expect(release.pays(Buffer.alloc(1_000))).toBe(false);
});

test("a spent piece is emptied when it has left, and not before", async () => {
  const server = createServer((socket) => socket.pause());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  onTestFinished(() => {
    socket.destroy();
    server.close();
  });
  await once(socket, "connect");
  const owner = {
    connectionFree() {},
    connectionClosed() {},
    batch: new WriteBatch(),
    memoryRelease: new MemoryRelease(),
  };
  const connection = new Http1Connection(socket, owner, 16_384);
  // Until the kernel takes no more, so that the last one has to wait.
  const pieces: Buffer[] = [];
  do {
    pieces.push(large());
    connection.write(pieces.at(-1) as Buffer, true);
  } while (socket.writableLength < 1_048_576);
  const kept = large();
  connection.write(kept, false);
  const last = pieces.at(-1) as Buffer;
  expect(last.length).toBe(65_536);
  const written = new Promise<void>((resolve) => socket.write("end", () => resolve()));
  server.getConnections(() => {});
  server.close();
  socket.destroy();
  await written;
  expect(pieces.every(({ length }) => length === 0)).toBe(true);
  expect(kept.length).toBe(65_536);
});

test.each([
  { ownsBody: true, maxKept: 0, spent: true },
  { ownsBody: true, maxKept: 1_000_000, spent: false },
  { ownsBody: false, maxKept: 0, spent: false },
])("pieces are spent only if nobody else has them and none may be sent again: %o", ({ ownsBody, maxKept, spent }) => {
  const body = new PassThrough();
  const exchange = { body, ownsBody, requestTrailers: () => [] } as unknown as ServerExchange;
  const relay = new RequestRelay(exchange, maxKept, { passing: () => true, blocked() {}, requestEnded() {} });
  const seen: (boolean | undefined)[] = [];
  const call = { write: (_chunk: Buffer, isSpent?: boolean) => seen.push(isSpent) > 0, end() {} };
  relay.begin(call as unknown as UpstreamCall);
  body.emit("data", large());
  expect(seen).toEqual([spent]);
});
