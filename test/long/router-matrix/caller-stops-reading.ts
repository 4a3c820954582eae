import { once } from "node:events";
import { expect } from "vitest";
import { within } from "../../support/http-server.js";
import { inCell, patienceMs } from "./cell.js";
import type { Cell } from "./kinds.js";
import type { Served } from "./provider.js";
import type { Row } from "./table.js";

const mebibyte = 1024 * 1024;
/** More than windows and the buffers of four sockets hold together. */
const totalBytes = 24 * mebibyte;
const chunk = Buffer.alloc(64 * 1024, 7);
/** Nobody tells that there will be no room for long; this is how long it must not have come to be believed. */
const quietMs = 100;

/** Sends one part after the other, each when `send` has said that there is room; tells when there was none for a while. */
function flood(
  send: (part: Buffer, next: () => void) => void,
  end: () => void,
): { readonly stalled: Promise<void>; readonly written: () => number } {
  let written = 0;
  const stalled = new Promise<void>((resolve) => {
    const more = (): void => {
      if (written >= totalBytes) return end();
      written += chunk.length;
      const timer = setTimeout(resolve, quietMs);
      send(chunk, () => {
        clearTimeout(timer);
        more();
      });
    };
    more();
  });
  return { stalled, written: () => written };
}

/** A provider with far more to say than anybody holds, to a caller that does not read. */
function talkative() {
  let tell: (flooding: ReturnType<typeof flood>) => void;
  const flooding = new Promise<ReturnType<typeof flood>>((resolve) => {
    tell = resolve;
  });
  let over: Promise<void> | undefined;
  return {
    flooding,
    over: () => over as Promise<void>,
    serve: (served: Served): void => {
      served.body.resume();
      served.respond(200);
      over = served.over;
      tell(
        flood(
          (part, next) => {
            if (served.write(part)) setImmediate(next);
            else served.onDrain(next);
          },
          () => served.end(),
        ),
      );
    },
  };
}

const playStalled = (cell: Cell, goesOn: boolean): Promise<void> => {
  const provider = talkative();
  return inCell(cell, provider.serve, async (open) => {
    const call = open.caller.start({ method: "GET" });
    call.request.end();
    const { body } = await within(patienceMs, "the head", call.head);
    body.pause();
    const { stalled, written } = await provider.flooding;
    await within(patienceMs, "the stall", stalled);
    expect(written()).toBeLessThan(totalBytes);
    await open.stillServes();
    if (!goesOn) {
      call.leave();
      await within(patienceMs, "the provider's cancellation", provider.over());
      expect(await open.event(2)).toMatchObject({ outcome: "caller-gone", code: "canceled", status: 200 });
      return;
    }
    let got = 0;
    body.on("data", (part: Buffer) => {
      got += part.length;
    });
    body.resume();
    await within(2 * patienceMs, "the rest", once(body, "end"));
    expect(got).toBe(totalBytes);
    expect(await open.event(2)).toMatchObject({ outcome: "completed", responseBytes: totalBytes });
  });
};

export const callerStopsReading: readonly Row[] = [
  {
    name: "and the provider is held back; then it reads on and gets everything",
    kinds: ["http"],
    play: (cell) => playStalled(cell, true),
  },
  {
    name: "and goes away: the provider is told, though nothing could be sent",
    kinds: ["http"],
    play: (cell) => playStalled(cell, false),
  },
  {
    name: "or rather the provider does, and the caller is held back until it reads on",
    kinds: ["http"],
    play: async (cell) => {
      let resume = (): void => {};
      await inCell(
        cell,
        (served) => {
          resume = () => {
            let got = 0;
            served.body.on("data", (part: Buffer) => {
              got += part.length;
            });
            served.body.on("end", () => {
              served.respond(200);
              served.write(String(got));
              served.end();
            });
          };
        },
        async (open) => {
          const call = open.caller.start();
          const seen = open.seen(call);
          const { request } = call;
          const { stalled, written } = flood(
            // Not by "drain", which node:http tells of requests long before their bytes have left.
            (part, next) => void request.write(part, next),
            () => void request.end(),
          );
          await within(patienceMs, "the stall", stalled);
          expect(written()).toBeLessThan(totalBytes);
          await open.stillServes();
          resume();
          expect(await seen).toMatchObject({ texts: [String(totalBytes)] });
          expect(await open.event(2)).toMatchObject({ outcome: "completed", requestBytes: totalBytes });
        },
      );
    },
  },
];
