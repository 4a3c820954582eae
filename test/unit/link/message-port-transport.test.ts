import { MessageChannel, type MessagePort } from "node:worker_threads";
import { expect, onTestFinished, test } from "vitest";
import { deferred } from "../../../src/internal/deferred.js";
import { MessagePortTransport } from "../../../src/link/message-port-transport.js";

function ports(): readonly [MessagePort, MessagePort] {
  const { port1, port2 } = new MessageChannel();
  onTestFinished(() => {
    port1.close();
    port2.close();
  });
  return [port1, port2];
}

/** Collects what comes, until the end. */
function listen(port: MessagePort) {
  const chunks: Uint8Array[] = [];
  const closed = deferred<Error | undefined>();
  const transport = new MessagePortTransport(port);
  transport.start({ data: (bytes) => void chunks.push(bytes), drain: () => {}, close: closed.resolve });
  return { transport, chunks, closed: closed.promise };
}

test("bytes arrive as they were when they were sent, in order, and before the end", async () => {
  const [near, far] = ports();
  const sender = listen(near);
  const slab = Buffer.alloc(65_536);
  const sizes = [1, 100, 2_047, 2_048, 30_000, 65_536];
  for (const size of sizes) {
    slab.fill(size % 251);
    expect(sender.transport.send(slab.subarray(0, size))).toBe(true);
  }
  slab.fill(255);
  sender.transport.close();
  const receiver = listen(far);
  expect(await receiver.closed).toBeUndefined();
  expect(receiver.chunks.map(({ length }) => length)).toEqual(sizes);
  for (const [index, size] of sizes.entries()) {
    expect(receiver.chunks[index]?.every((byte) => byte === size % 251)).toBe(true);
  }
  await sender.closed;
});

test("what is sent takes along no more memory than it has bytes, and the sender's stays as it is", async () => {
  const [near, far] = ports();
  const sender = listen(near);
  const receiver = listen(far);
  const slab = Buffer.alloc(65_536, 7);
  for (const size of [10, 5_000]) sender.transport.send(slab.subarray(0, size));
  sender.transport.close();
  await receiver.closed;
  expect(receiver.chunks.map(({ buffer }) => buffer.byteLength)).toEqual([10, 5_000]);
  expect(slab.every((byte) => byte === 7)).toBe(true);
});

test("what is no bytes ends the link with the reason", async () => {
  const [near, far] = ports();
  const receiver = listen(far);
  near.postMessage({ some: "thing" });
  expect((await receiver.closed)?.message).toBe("the other thread sent something else than bytes");
});

test("after its end nothing is handed on, and sending does nothing", async () => {
  const [near, far] = ports();
  const sender = listen(near);
  const receiver = listen(far);
  receiver.transport.destroy();
  await sender.closed;
  expect(sender.transport.send(new Uint8Array(1))).toBe(true);
  expect(receiver.chunks).toEqual([]);
});
