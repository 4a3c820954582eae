import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { expect, test } from "vitest";
import { WriteBatch } from "../../../src/http/write-batch.js";

interface Held {
  readonly corked: () => number;
  cork(): void;
  uncork(): void;
}

function connection(onFree: () => void): Held {
  let corked = 0;
  return {
    corked: () => corked,
    cork: () => void corked++,
    uncork() {
      corked--;
      if (corked === 0) onFree();
    },
  };
}

const turnEnds = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A batch whose last turn had much to send. */
async function busyBatch(): Promise<WriteBatch> {
  const batch = new WriteBatch();
  for (let index = 0; index < 4; index++) batch.hold(connection(() => {}));
  await turnEnds();
  return batch;
}

test("connections are held until the turn ends and let go in the order in which they came", async () => {
  const freed: string[] = [];
  const [first, second] = [connection(() => freed.push("first")), connection(() => freed.push("second"))];
  const batch = await busyBatch();
  batch.hold(first);
  await Promise.resolve();
  batch.hold(second);
  expect([first.corked(), second.corked(), freed]).toEqual([1, 1, []]);
  await turnEnds();
  expect([first.corked(), second.corked(), freed]).toEqual([0, 0, ["first", "second"]]);
});

test("nothing is held after a turn with little to send", async () => {
  const batch = await busyBatch();
  const held = connection(() => {});
  batch.hold(held);
  expect(held.corked()).toBe(1);
  await turnEnds();
  batch.hold(held);
  expect(held.corked()).toBe(0);
});

test("a connection that was held twice is free after one turn", async () => {
  const held = connection(() => {});
  const batch = await busyBatch();
  batch.hold(held);
  batch.hold(held);
  expect(held.corked()).toBe(2);
  await turnEnds();
  expect(held.corked()).toBe(0);
});

test("what is held while others are let go waits for the next turn", async () => {
  const batch = await busyBatch();
  const late = connection(() => {});
  const early = connection(() => batch.hold(late));
  for (let index = 0; index < 4; index++) batch.hold(early);
  await turnEnds();
  expect([early.corked(), late.corked()]).toEqual([0, 1]);
  await turnEnds();
  expect(late.corked()).toBe(0);
});

test("a socket that is destroyed while it is held disturbs no other, whose bytes arrive in their order", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const dial = async (): Promise<[Socket, Socket]> => {
    const accepted = once(server, "connection") as Promise<[Socket]>;
    const own = connect(port, "127.0.0.1");
    return [own, (await accepted)[0]];
  };
  const [lost] = await dial();
  const [kept, far] = await dial();
  try {
    const batch = await busyBatch();
    batch.hold(lost);
    lost.write("lost");
    lost.destroy();
    batch.hold(kept);
    kept.write("one ");
    kept.write("two ");
    kept.end("three");
    let text = "";
    far.setEncoding("utf8").on("data", (chunk) => (text += chunk));
    await once(far, "end");
    expect(text).toBe("one two three");
  } finally {
    for (const socket of [lost, kept, far]) socket.destroy();
    server.close();
  }
});
