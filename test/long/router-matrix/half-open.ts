import { once } from "node:events";
import { constants } from "node:http2";
import { expect } from "vitest";
import { within } from "../../support/http-server.js";
import { type OpenCell, patienceMs } from "./cell.js";
import { type Cell, contentTypes, everyKind, isStream, message } from "./kinds.js";
import type { Serve, Served } from "./provider.js";
import { onlyToHttp2, type Row } from "./table.js";
import { withBackTap, withFrontTap } from "./taps.js";

const shortMs = 100;
const deadline = { "connect-timeout-ms": String(shortMs), "grpc-timeout": `${shortMs}m` };

/** A provider that gets as far as `serve`, and tells a test of each call. */
function told(serve: Serve) {
  const arrivals: Served[] = [];
  let wake = (): void => {};
  return {
    arrival: (): Promise<Served> =>
      within(
        patienceMs,
        "the call",
        new Promise((resolve) => {
          wake = () => {
            if (arrivals[0] !== undefined) resolve(arrivals[0]);
          };
          wake();
        }),
      ),
    serve: (served: Served): void => {
      served.body.on("error", () => {});
      serve(served);
      arrivals.push(served);
      wake();
    },
  };
}

const silent: Serve = ({ body }) => void body.resume();

const begins =
  (cell: Cell, fields: Record<string, string> = {}): Serve =>
  (served) => {
    served.body.resume();
    served.respond(200, { "content-type": contentTypes[cell.kind], ...fields });
    served.write(message(cell.kind, "one"));
  };

async function callerEnded({ cell, caller }: OpenCell): Promise<void> {
  if (cell.in === "2" && !caller.session.destroyed) await once(caller.session, "close");
}

/** A provider that is there again is found again, once somebody has waited for the dead connection in vain. */
async function servesAgain(open: OpenCell): Promise<void> {
  const call = open.caller.start({ path: "/services/logger/any/ping" });
  const seen = open.seen(call);
  call.request.end("x");
  await seen;
  await open.stillServes();
}

const unavailable = ({ kind }: Cell) => ({ status: isStream(kind) ? 200 : 502, code: "unavailable", cut: false });
const cut = { code: "none", cut: true };

export const halfOpen: readonly Row[] = [
  {
    name: "by FIN of a provider before it answers: the caller gets an error",
    kinds: everyKind,
    play: async (cell) => {
      const { arrival, serve } = told(silent);
      await withBackTap(cell, serve, async (open, tap) => {
        const call = open.caller.start();
        const seen = open.seen(call);
        call.request.end("x");
        await arrival();
        tap.endTowardsClient();
        expect(await seen).toMatchObject(unavailable(cell));
        expect(await open.event()).toMatchObject({ outcome: "provider-failed", code: "unavailable" });
      });
    },
  },
  {
    name: "by FIN of a provider in the middle of its answer: an error, or a cut answer",
    kinds: everyKind,
    play: async (cell) => {
      await withBackTap(cell, begins(cell), async (open, tap) => {
        const call = open.caller.start();
        call.request.end("x");
        const { body } = await within(patienceMs, "the head", call.head);
        const seen = open.seen(call);
        await within(patienceMs, "the first bytes", once(body, "data"));
        tap.endTowardsClient();
        expect(await seen).toMatchObject(isStream(cell.kind) ? { code: "unavailable", texts: ["one"] } : cut);
        expect(await open.event()).toMatchObject({ outcome: "provider-failed", code: "unavailable" });
      });
    },
  },
  {
    name: "by FIN of a provider on an idle connection: the next call takes another",
    kinds: ["http"],
    play: async (cell) => {
      await withBackTap(cell, silent, async (open, tap) => {
        await open.stillServes();
        tap.endTowardsClient();
        // The tap hears of the host's own end: by then the host knows.
        await within(patienceMs, "the host's end", tap.whenClientsEnded());
        await open.stillServes();
        expect(tap.connections()).toBe(2);
        expect(open.host.view.failures).toEqual([]);
      });
    },
  },
  {
    name: "by a provider that says GOAWAY and leaves its side open: the host closes the connection for good",
    kinds: ["http"],
    cannotBe: onlyToHttp2("HTTP/1.1 has no GOAWAY; a FIN on an idle connection is the row above"),
    play: async (cell) => {
      let served: Served | undefined;
      const serve: Serve = (one) => {
        served = one;
        one.body.resume();
        one.respond(200);
        one.end();
      };
      await withBackTap(cell, serve, async (open) => {
        const call = open.caller.start();
        const seen = open.seen(call);
        call.request.end("x");
        expect(await seen).toMatchObject({ code: "ok" });
        // Node's server takes no notice of a FIN after that.
        served?.session.goaway(constants.NGHTTP2_NO_ERROR, served.stream.id ?? 0);
        await open.stillServes();
      });
    },
  },
  {
    name: "by FIN of a caller that waits for its answer: it counts as gone, and the provider is told",
    kinds: ["http", "connect-stream", "grpc"],
    play: async (cell) => {
      const { arrival, serve } = told(silent);
      await withFrontTap(cell, serve, async (open, tap) => {
        const call = open.caller.start();
        call.request.end("x");
        const served = await arrival();
        tap.endTowardsServer();
        await within(patienceMs, "the provider's cancellation", served.over);
        await within(patienceMs, "the caller's end", callerEnded(open));
        expect(await open.event()).toMatchObject({ outcome: "caller-gone", code: "canceled", status: 0 });
      });
    },
  },
  {
    name: "by FIN of a caller in the middle of its body: the provider never sees a whole request",
    kinds: ["http", "connect-stream", "grpc"],
    play: async (cell) => {
      const { arrival, serve } = told(silent);
      await withFrontTap(cell, serve, async (open, tap) => {
        const call = open.caller.start();
        call.request.write("half of it");
        const served = await arrival();
        tap.endTowardsServer();
        await within(patienceMs, "the provider's cancellation", served.over);
        await within(patienceMs, "the caller's end", callerEnded(open));
        expect(served.looksComplete()).toBe(false);
        expect(await open.event()).toMatchObject({ outcome: "caller-gone", code: "canceled", status: 0 });
      });
    },
  },
  {
    name: "to a provider that vanishes before it answers: 504 in time, and the next call does not wait for a dead connection",
    kinds: ["http", "grpc"],
    play: async (cell) => {
      const { arrival, serve } = told(silent);
      await withBackTap(
        cell,
        serve,
        async (open, tap) => {
          const call = open.caller.start();
          const seen = open.seen(call);
          call.request.end("x");
          await arrival();
          tap.vanish();
          expect(await seen).toMatchObject({ ...unavailable(cell), status: isStream(cell.kind) ? 200 : 504 });
          expect(await open.event()).toMatchObject({ outcome: "provider-failed", code: "unavailable" });
          await open.stillServes();
        },
        { router: { headersTimeoutMs: shortMs } },
      );
    },
  },
  {
    name: "to a provider that vanishes while nothing is under way: calls are served again after one timeout",
    kinds: ["http"],
    play: async (cell) => {
      await withBackTap(
        cell,
        silent,
        async (open, tap) => {
          await open.stillServes();
          tap.vanish();
          await servesAgain(open);
        },
        { router: { headersTimeoutMs: shortMs } },
      );
    },
  },
  {
    name: "to a provider that vanishes in the middle of its answer: the caller's deadline ends the call",
    kinds: ["connect-unary", "connect-stream", "grpc"],
    play: (cell) =>
      withBackTap(
        cell,
        begins(cell),
        async (open, tap) => {
          const call = open.caller.start({ headers: deadline });
          call.request.end("x");
          await within(patienceMs, "the head", call.head);
          const seen = open.seen(call);
          tap.vanish();
          expect(await seen).toMatchObject(isStream(cell.kind) ? { code: "deadline_exceeded" } : cut);
          expect(await open.event()).toMatchObject({ outcome: "aborted", code: "deadline_exceeded" });
          await servesAgain(open);
        },
        { router: { headersTimeoutMs: shortMs } },
      ),
  },
  {
    name: "to a caller that vanishes while it waits: its deadline ends the call, and others are served",
    kinds: ["connect-unary", "connect-stream", "grpc", "grpc-web"],
    play: async (cell) => {
      const { arrival, serve } = told(silent);
      await withFrontTap(
        cell,
        serve,
        async (open, tap) => {
          const call = open.caller.start({ headers: deadline });
          call.request.end("x");
          const served = await arrival();
          tap.vanish();
          await within(patienceMs, "the provider's cancellation", served.over);
          expect(await open.event()).toMatchObject({ outcome: "aborted", code: "deadline_exceeded" });
        },
        { graceMs: 0 },
      );
    },
  },
  {
    name: "to a caller that vanishes in the middle of an endless answer: the provider is held back, and the host can end the call",
    kinds: ["http"],
    play: async (cell) => {
      const part = Buffer.alloc(64 * 1024);
      const { arrival, serve } = told((served) => {
        served.body.resume();
        served.respond(200);
        const more = (): void => {
          if (served.write(part)) setImmediate(more);
          else served.onDrain(more);
        };
        more();
      });
      await withFrontTap(
        cell,
        serve,
        async (open, tap) => {
          const call = open.caller.start({ method: "GET" });
          call.request.end();
          const { body } = await within(patienceMs, "the head", call.head);
          await within(patienceMs, "the first bytes", once(body, "data"));
          tap.vanish();
          const served = await arrival();
          open.inFlight.abortAll(new Error("drained"));
          await within(patienceMs, "the provider's cancellation", served.over);
          expect(await open.event()).toMatchObject({ outcome: "aborted", code: "unavailable" });
        },
        { graceMs: 0 },
      );
    },
  },
];
