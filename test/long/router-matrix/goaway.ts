import { once } from "node:events";
import { constants } from "node:http2";
import { expect } from "vitest";
import { callOn, connectHttp2, within } from "../../support/http-server.js";
import { type CallUnderWay, inCell, type OpenCell, patienceMs } from "./cell.js";
import { type Cell, contentTypes, endOf, everyKind, message } from "./kinds.js";
import type { Served } from "./provider.js";
import { onlyFromHttp2, onlyToHttp1, onlyToHttp2, type Row } from "./table.js";

const noGoaway = "HTTP/1.1 has no GOAWAY: what it has instead is a closed connection, which is a row of its own";

/** A provider whose calls a test answers one by one, in the order they come. */
function byHand() {
  const served: Served[] = [];
  const waiting = new Map<number, (served: Served) => void>();
  return {
    served,
    serve: (one: Served): void => {
      one.body.on("error", () => {});
      served.push(one);
      waiting.get(served.length)?.(one);
    },
    /** The `count`-th call that has come. */
    call: (count: number): Promise<Served> =>
      within(
        patienceMs,
        `call ${count}`,
        new Promise((resolve) => {
          const one = served[count - 1];
          if (one !== undefined) resolve(one);
          else waiting.set(count, resolve);
        }),
      ),
  };
}

/** Answers with what was sent, and with trailers. */
function echo({ body, respond, write, end, trailers, looksComplete }: Served, { kind }: Cell): void {
  const chunks: Buffer[] = [];
  body.on("data", (chunk: Buffer) => chunks.push(chunk));
  body.on("end", () => {
    if (!looksComplete()) return;
    respond(200, { "content-type": contentTypes[kind], trailer: "x-sum" });
    write(message(kind, Buffer.concat(chunks).toString()));
    const last = endOf(kind);
    write(last.body);
    end({ "x-sum": String(trailers()["x-check"] ?? "none"), ...last.trailers });
  });
}

const echoed = (cell: Cell, text: string) => ({
  status: 200,
  code: "ok",
  cut: false,
  texts: [cell.kind === "connect-unary" ? JSON.stringify(text) : text],
});

/** Two calls on one session: one that the provider will take note of, and one that it never looked at. */
async function twoCalls(open: OpenCell, second: (open: OpenCell) => CallUnderWay, first: () => Promise<Served>) {
  const early = open.caller.start();
  early.request.write("early ");
  const taken = await first();
  // The next caller's, because calls of one caller over HTTP/1.1 come one after the other anyway.
  const late = second(open);
  return { early, taken, late };
}

const withBody = (open: OpenCell): CallUnderWay => {
  const call = open.caller.start();
  call.request.write("la");
  return call;
};

const withoutBody = (open: OpenCell): CallUnderWay => {
  const call = open.caller.start({ method: "GET" });
  call.request.end();
  return call;
};

async function playAbove(cell: Cell, hasBody: boolean, code: number): Promise<void> {
  const provider = byHand();
  await inCell(cell, provider.serve, async (open) => {
    const { early, taken, late } = await twoCalls(open, hasBody ? withBody : withoutBody, () => provider.call(1));
    const overlooked = await provider.call(2);
    // The body has begun when the provider says that it never looked at the call.
    if (hasBody) await within(patienceMs, "the beginning of the body", once(overlooked.body, "data"));
    expect(overlooked.session === taken.session).toBe(true);
    const seenEarly = open.seen(early);
    const seenLate = open.seen(late);
    taken.session.goaway(code, taken.stream.id ?? 0);
    const again = await provider.call(3);
    expect(again.session === taken.session).toBe(false);
    echo(again, cell);
    if (hasBody) late.request.end("te");
    expect(await seenLate).toMatchObject(echoed(cell, hasBody ? "late" : ""));
    expect(await open.event(code === 0 ? 1 : 2)).toMatchObject({ outcome: "completed", code: "ok" });
    if (code !== constants.NGHTTP2_NO_ERROR) {
      // That session is over for those that were looked at, too.
      early.request.end();
      expect(await seenEarly).toMatchObject({ code: "unavailable" });
      return;
    }
    echo(taken, cell);
    early.request.end("call");
    expect(await seenEarly).toMatchObject(echoed(cell, "early call"));
    expect(open.host.view.failures).toEqual([]);
  });
}

export const goaway: readonly Row[] = [
  {
    name: "on an idle session: the next call takes a new one, and nothing fails",
    kinds: ["http", "grpc"],
    cannotBe: onlyToHttp2(noGoaway),
    play: async (cell) => {
      const provider = byHand();
      await inCell(cell, provider.serve, async (open) => {
        for (let count = 1; count <= 3; count++) {
          const call = open.caller.start();
          call.request.end("hi");
          const served = await provider.call(count);
          echo(served, cell);
          expect(await open.seen(call)).toMatchObject(echoed(cell, "hi"));
          expect(open.provider.connections()).toBe(count);
          // With nothing in between: the next call may be on its way when it comes.
          if (count === 2) served.session.goaway(constants.NGHTTP2_NO_ERROR, served.stream.id ?? 0);
          served.session.close();
        }
        expect(open.host.view.failures).toEqual([]);
      });
    },
  },
  {
    name: "instead of it, a provider closes the connection with its answer, or while it is idle",
    kinds: ["http"],
    cannotBe: onlyToHttp1("over HTTP/2 that is GOAWAY, as in the other rows, or a lost connection"),
    play: async (cell) => {
      const provider = byHand();
      await inCell(cell, provider.serve, async (open) => {
        for (let count = 1; count <= 4; count++) {
          const call = open.caller.start();
          call.request.end("hi");
          const served = await provider.call(count);
          const { socket } = served.body as unknown as { socket: import("node:net").Socket };
          const closed = once(socket, "close");
          served.body.resume();
          served.respond(200, {
            "content-type": contentTypes[cell.kind],
            ...(count % 2 ? { connection: "close" } : {}),
          });
          served.write("hi");
          served.end();
          expect(await open.seen(call)).toMatchObject(echoed(cell, "hi"));
          socket.end();
          await within(patienceMs, "the end of the connection", closed);
        }
        expect(open.host.view.failures).toEqual([]);
      });
    },
  },
  {
    name: "with a call in flight that was taken: it goes on to its end with trailers both ways, and new ones go elsewhere",
    kinds: ["http", "connect-stream", "grpc", "grpc-web"],
    cannotBe: onlyToHttp2(noGoaway),
    play: async (cell) => {
      const provider = byHand();
      await inCell(cell, provider.serve, async (open) => {
        const call = open.caller.start({ headers: { trailer: "x-check" }, trailers: { "x-check": "7" } });
        call.request.write("one ");
        const served = await provider.call(1);
        served.session.goaway(constants.NGHTTP2_NO_ERROR, served.stream.id ?? 0);
        // Served on another session, so GOAWAY has come by then.
        await within(patienceMs, "a new session", newSession(open, served));
        echo(served, cell);
        const seen = open.seen(call);
        call.request.end("two");
        expect(await seen).toMatchObject(echoed(cell, "one two"));
        expect(served.trailers()["x-check"]).toBe("7");
        expect(open.host.view.failures).toEqual([]);
      });
    },
  },
  {
    name: "with a call in flight that was not looked at: it is made again on a new session",
    kinds: everyKind,
    cannotBe: onlyToHttp2(noGoaway),
    play: (cell) => playAbove(cell, false, constants.NGHTTP2_NO_ERROR),
  },
  {
    name: "with a call in flight that was not looked at, though its body had begun: the body is sent again",
    kinds: everyKind,
    cannotBe: onlyToHttp2(noGoaway),
    play: (cell) => playAbove(cell, true, constants.NGHTTP2_NO_ERROR),
  },
  {
    name: "with an error: what was looked at fails, what was not is made again",
    kinds: everyKind,
    cannotBe: onlyToHttp2(noGoaway),
    play: (cell) => playAbove(cell, false, constants.NGHTTP2_ENHANCE_YOUR_CALM),
  },
  {
    name: "from the host to its callers when it closes: calls under way go on to their end",
    kinds: ["http", "connect-stream", "grpc"],
    play: async (cell) => {
      const provider = byHand();
      await inCell(
        cell,
        provider.serve,
        async (open) => {
          const call = open.caller.start();
          call.request.write("one ");
          const served = await provider.call(1);
          const told = cell.in === "2" ? once(open.caller.session, "goaway") : undefined;
          const closed = open.host.server.close({ graceMs: 60_000 });
          await within(patienceMs, "GOAWAY", Promise.resolve(told));
          const seen = open.seen(call);
          echo(served, cell);
          call.request.end("two");
          expect(await seen).toMatchObject(echoed(cell, "one two"));
          await within(patienceMs, "the end of the host", closed);
        },
        { graceMs: 60_000 },
      );
    },
  },
  {
    name: "from a caller: its calls under way go on to their end",
    kinds: ["http", "grpc"],
    cannotBe: onlyFromHttp2("a caller over HTTP/1.1 has nothing to say but Connection: close"),
    play: async (cell) => {
      const provider = byHand();
      await inCell(cell, provider.serve, async (open) => {
        const session = connectHttp2(open.host);
        const call = callOn(session, {
          ":path": "/services/logger/any/x",
          ":method": "POST",
          "content-type": contentTypes[cell.kind],
        });
        call.request.write("one ");
        const served = await provider.call(1);
        session.goaway(constants.NGHTTP2_NO_ERROR);
        session.close();
        const seen = open.seen(call);
        echo(served, cell);
        call.request.end("two");
        expect(await seen).toMatchObject(echoed(cell, "one two"));
      });
    },
  },
];

/** Calls until one arrives on another session than `before`. */
async function newSession(open: OpenCell, before: Served): Promise<void> {
  const gone = once(before.session, "close");
  void gone.catch(() => {});
  do await open.stillServes();
  while (open.provider.connections() < 2);
}
