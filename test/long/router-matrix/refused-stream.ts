import { once } from "node:events";
import { constants } from "node:http2";
import { expect } from "vitest";
import { within } from "../../support/http-server.js";
import { pluginRecord } from "../../support/router-host.js";
import { type CallAs, inCell, type OpenCell, patienceMs } from "./cell.js";
import { type Cell, contentTypes, endOf, everyKind, isStream, message } from "./kinds.js";
import { type Served, startProvider } from "./provider.js";
import { onlyToHttp1, onlyToHttp2, type Row } from "./table.js";

const noStreams =
  "HTTP/1.1 has no streams to refuse: what it has instead is a refused connection, which is a row of its own";
const pinnedPath = "/services/logger/logger-1/x";

/** Answers with the number of bytes that came. */
function countBytes({ body, respond, write, end, looksComplete }: Served, { kind }: Cell): void {
  let bytes = 0;
  body.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  body.on("end", () => {
    if (!looksComplete()) return;
    respond(200, { "content-type": contentTypes[kind] });
    write(message(kind, `${bytes}`));
    const last = endOf(kind);
    write(last.body);
    end(last.trailers);
  });
}

const counted = ({ kind }: Cell, bytes: number) => ({
  code: "ok",
  cut: false,
  texts: [kind === "connect-unary" ? `"${bytes}"` : `${bytes}`],
});

const refuse = (served: Served): void => served.stream.close(constants.NGHTTP2_REFUSED_STREAM);

const unavailable = ({ kind }: Cell) => ({ status: isStream(kind) ? 200 : 502, code: "unavailable", cut: false });

/** A provider that refuses the first `times` calls, each when something of its body has come. */
function refusing(cell: Cell, times: number, afterBytes = 0) {
  const state = { refused: 0, wholeButRefused: 0 };
  const serve = (served: Served): void => {
    served.body.on("error", () => {});
    if (state.refused >= times) return countBytes(served, cell);
    state.refused++;
    served.body.on("end", () => {
      if (served.looksComplete()) state.wholeButRefused++;
    });
    if (afterBytes === 0) return refuse(served);
    let bytes = 0;
    served.body.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes >= afterBytes) refuse(served);
    });
  };
  return { state, serve };
}

async function send(open: OpenCell, call: CallAs, parts: readonly (string | Buffer)[]) {
  const sent = open.caller.start(call);
  const seen = open.seen(sent);
  for (const part of parts) sent.request.write(part);
  sent.request.end();
  return seen;
}

/** The provider takes one call at a time on a session from now on, while one call that ends last is on it. */
async function playShrinking(cell: Cell, areUnderWay: boolean): Promise<void> {
  let first: Served | undefined;
  const serve = (served: Served): void => {
    if (first !== undefined) return countBytes(served, cell);
    first = served;
    served.respond(200, { "content-type": contentTypes[cell.kind] });
    served.body.resume();
    served.body.on("end", () => {
      served.write(message(cell.kind, "first"));
      const last = endOf(cell.kind);
      served.write(last.body);
      served.end(last.trailers);
    });
  };
  await inCell(cell, serve, async (open) => {
    const patient = open.caller.start();
    patient.request.write("x");
    await within(patienceMs, "the first call", patient.head);
    const { session } = first as Served;
    const told = once(session, "localSettings");
    session.settings({ maxConcurrentStreams: 1 });
    if (!areUnderWay) await within(patienceMs, "the settings", told);
    const crowd = Array.from({ length: 20 }, () => send(open, {}, ["four"]));
    const seen = open.seen(patient);
    // What was handed to the connection before the settings came waits there for a free stream: nobody can tell whether it has
    // left already, so it must not be sent again.
    if (areUnderWay) patient.request.end();
    for (const seen of await Promise.all(crowd)) expect(seen).toMatchObject(counted(cell, 4));
    if (!areUnderWay) patient.request.end();
    expect(await seen).toMatchObject({ code: "ok", cut: false });
    expect(open.host.view.failures).toEqual([]);
  });
}

export const refusedStream: readonly Row[] = [
  {
    name: "without a body: the same provider is asked again where the call is for it",
    kinds: everyKind,
    cannotBe: onlyToHttp2(noStreams),
    play: async (cell) => {
      const { state, serve } = refusing(cell, 2);
      await inCell(cell, serve, async (open) => {
        expect(await send(open, { path: pinnedPath, method: "GET" }, [])).toMatchObject(counted(cell, 0));
        expect(state.refused).toBe(2);
        expect(await open.event()).toMatchObject({ outcome: "completed", code: "ok" });
        expect(open.host.view.failures).toEqual([]);
      });
    },
  },
  {
    name: "though its body had begun: the body is sent again to the same provider, whole",
    kinds: everyKind,
    cannotBe: onlyToHttp2(noStreams),
    play: async (cell) => {
      const { state, serve } = refusing(cell, 2, 1);
      await inCell(cell, serve, async (open) => {
        expect(await send(open, { path: pinnedPath }, ["four", "more"])).toMatchObject(counted(cell, 8));
        expect(state.refused).toBe(2);
        expect(await open.event()).toMatchObject({ outcome: "completed", requestBytes: 8 });
        expect(open.host.view.failures).toEqual([]);
      });
    },
  },
  {
    name: "of a call that any provider may take: another one gets it with its whole body",
    kinds: everyKind,
    cannotBe: onlyToHttp2(noStreams),
    play: async (cell) => {
      const { state, serve } = refusing(cell, Number.POSITIVE_INFINITY, 1);
      await inCell(cell, serve, async (open) => {
        await using other = await startProvider(cell.out, (served) => countBytes(served, cell));
        const { inFlight } = open.host.view.add(
          pluginRecord({ runtimeId: "logger-2", address: other.address(["h2c"]) }),
        );
        expect(await send(open, {}, ["four", "more"])).toMatchObject(counted(cell, 8));
        expect(state.refused).toBe(1);
        expect(await open.event()).toMatchObject({ outcome: "completed", provider: { runtimeId: "logger-2" } });
        expect(inFlight.count).toBe(0);
        open.host.router.close();
        await within(patienceMs, "the other's connections", other.whenDisconnected());
      });
    },
  },
  {
    name: "again and again: the caller gets an error of its protocol after a few tries",
    kinds: everyKind,
    cannotBe: onlyToHttp2(noStreams),
    play: async (cell) => {
      const { state, serve } = refusing(cell, Number.POSITIVE_INFINITY);
      await inCell(cell, serve, async (open) => {
        expect(await send(open, { path: pinnedPath }, ["x"])).toMatchObject(unavailable(cell));
        expect(state.refused).toBeGreaterThan(1);
        expect(state.refused).toBeLessThan(10);
        expect(await open.event()).toMatchObject({ outcome: "provider-failed", code: "unavailable" });
      });
    },
  },
  {
    name: "of a call whose body is too long to be kept: an error, and nobody gets half of it",
    kinds: ["http", "connect-stream", "grpc"],
    cannotBe: onlyToHttp2(noStreams),
    play: async (cell) => {
      const bytes = 8 * 1024 * 1024;
      const { state, serve } = refusing(cell, 1, bytes / 2);
      await inCell(cell, serve, async (open) => {
        expect(await send(open, { path: pinnedPath }, [Buffer.alloc(bytes)])).toMatchObject(unavailable(cell));
        expect(state).toEqual({ refused: 1, wholeButRefused: 0 });
        expect(await open.event()).toMatchObject({ outcome: "provider-failed", code: "unavailable" });
      });
    },
  },
  {
    name: "because MAX_CONCURRENT_STREAMS has shrunk: later calls are served on another session",
    kinds: ["http", "grpc"],
    cannotBe: onlyToHttp2(noStreams),
    play: (cell) => playShrinking(cell, false),
  },
  {
    name: "because MAX_CONCURRENT_STREAMS shrinks while calls are on their way: all of them are served when streams are free",
    kinds: ["http", "grpc"],
    cannotBe: onlyToHttp2(noStreams),
    play: (cell) => playShrinking(cell, true),
  },
  {
    name: "instead of it, a connection is refused: another provider gets the call with its whole body",
    kinds: ["http", "connect-stream"],
    cannotBe: onlyToHttp1("over HTTP/2 a refused connection is the same as over HTTP/1.1, before any stream"),
    play: (cell) =>
      inCell(
        cell,
        (served) => countBytes(served, cell),
        async (open) => {
          const [alive] = open.host.view.providers.splice(0);
          open.host.view.add(
            pluginRecord({
              runtimeId: "dead",
              address: { kind: "http", url: "http://127.0.0.1:1", protocols: ["h1"] },
            }),
          );
          if (alive !== undefined) open.host.view.providers.push(alive);
          expect(await send(open, {}, ["four", "more"])).toMatchObject(counted(cell, 8));
          expect(await open.event()).toMatchObject({ outcome: "completed", provider: { runtimeId: "logger-1" } });
          expect(open.host.view.failures).toHaveLength(1);
          expect(open.host.view.providers.map(({ inFlight }) => inFlight.count)).toEqual([0, 0]);
        },
      ),
  },
];
