import { once } from "node:events";
import { expect } from "vitest";
import { within } from "../../support/http-server.js";
import { type CallUnderWay, inCell, type OpenCell, patienceMs } from "./cell.js";
import type { Cell } from "./kinds.js";
import type { Serve, Served } from "./provider.js";
import { onlyFromHttp2, type Row } from "./table.js";

/** Takes note of the one call that a provider gets. */
function oneServed(serve: Serve) {
  let tell: (served: Served) => void;
  const arrived = new Promise<Served>((resolve) => {
    tell = resolve;
  });
  return {
    arrived: () => within(patienceMs, "the call", arrived),
    serve: (served: Served): void => {
      served.body.on("error", () => {});
      serve(served);
      tell(served);
    },
  };
}

interface Leaving {
  readonly how: string;
  leave(open: OpenCell, call: CallUnderWay): void;
  readonly cannotBe?: Row["cannotBe"];
}

const leavings: readonly Leaving[] = [
  { how: "ends its call", leave: (_open, call) => call.leave() },
  {
    how: "loses its connection",
    leave: (open) => open.caller.session.destroy(),
    cannotBe: onlyFromHttp2("over HTTP/1.1 a caller ends its call by ending its connection, which is the row above"),
  },
];

async function expectCancelled(open: OpenCell, served: Served, status: number): Promise<void> {
  // It is a matter of one turn of the event loop; how long that takes depends on what else the machine does.
  await within(patienceMs, "the provider's cancellation", served.over);
  expect(await open.event()).toMatchObject({ outcome: "caller-gone", code: "canceled", status });
  expect(open.host.view.failures).toEqual([]);
}

async function playIncomplete(cell: Cell, { leave }: Leaving, headers: Record<string, string>): Promise<void> {
  const { arrived, serve } = oneServed((served) => {
    served.body.on("data", () => {});
  });
  await inCell(cell, serve, async (open) => {
    const call = open.caller.start({ headers });
    call.request.write("half of it");
    const served = await arrived();
    // Bytes on their way at the very moment of the break are what goes wrong most easily.
    call.request.write("more");
    leave(open, call);
    await expectCancelled(open, served, 0);
    expect(served.looksComplete()).toBe(false);
  });
}

const rowsOf = (leaving: Leaving): Row[] => {
  const { how, leave, cannotBe = {} } = leaving;
  return [
    {
      name: `${how} before its body is complete: the provider never sees a whole request`,
      kinds: ["http", "connect-stream", "grpc"],
      cannotBe,
      play: (cell) => playIncomplete(cell, leaving, {}),
    },
    {
      name: `${how} before the announced length of its body is reached`,
      kinds: ["http"],
      cannotBe,
      play: (cell) => playIncomplete(cell, leaving, { "content-length": "100" }),
    },
    {
      name: `${how} while it waits for the head`,
      kinds: ["http", "grpc"],
      cannotBe,
      play: async (cell) => {
        const { arrived, serve } = oneServed(({ body }) => void body.resume());
        await inCell(cell, serve, async (open) => {
          const call = open.caller.start();
          call.request.end("x");
          const served = await arrived();
          leave(open, call);
          await expectCancelled(open, served, 0);
        });
      },
    },
    {
      name: `${how} in the middle of the answer`,
      kinds: ["http", "connect-stream", "grpc"],
      cannotBe,
      play: async (cell) => {
        const { arrived, serve } = oneServed((served) => {
          served.body.resume();
          served.respond(200);
          served.write("one");
        });
        await inCell(cell, serve, async (open) => {
          const call = open.caller.start();
          call.request.end("x");
          const { body } = await within(patienceMs, "the head", call.head);
          await within(patienceMs, "the first bytes", once(body, "data"));
          leave(open, call);
          await expectCancelled(open, await arrived(), 200);
        });
      },
    },
    {
      name: `${how} in the middle of both streams`,
      kinds: ["http", "connect-stream", "grpc"],
      cannotBe,
      play: async (cell) => {
        const { arrived, serve } = oneServed((served) => {
          served.respond(200);
          served.body.on("data", (chunk: Buffer) => served.write(chunk));
        });
        await inCell(cell, serve, async (open) => {
          const call = open.caller.start();
          call.request.write("there and back");
          const { body } = await within(patienceMs, "the head", call.head);
          await within(patienceMs, "the first bytes", once(body, "data"));
          leave(open, call);
          const served = await arrived();
          await expectCancelled(open, served, 200);
          expect(served.looksComplete()).toBe(false);
        });
      },
    },
  ];
};

export const callerLeaves: readonly Row[] = leavings.flatMap(rowsOf);
