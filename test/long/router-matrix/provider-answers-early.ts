import { expect } from "vitest";
import { within } from "../../support/http-server.js";
import { inCell, type OpenCell, patienceMs } from "./cell.js";
import { type Cell, contentTypes, endOf, everyKind, type Kind, type Seen } from "./kinds.js";
import type { Served } from "./provider.js";
import type { Row } from "./table.js";

const uploadBytes = 8 * 1024 * 1024;

/** Refuses a call in its protocol, without a look at its body. */
function refuseEarly(served: Served, kind: Kind): void {
  const type = { "content-type": contentTypes[kind] };
  const { body, trailers } = endOf(kind, "resource_exhausted");
  if (kind === "grpc") return served.respondOnly(200, { ...type, ...trailers });
  if (kind === "http" || kind === "connect-unary") {
    served.respond(413, { "content-type": "application/json" });
    served.write('{"code":"resource_exhausted"}');
  } else {
    served.respond(200, type);
    served.write(body);
  }
  served.end();
}

const refused = (kind: Kind): Partial<Seen> => ({
  status: kind === "http" || kind === "connect-unary" ? 413 : 200,
  code: "resource_exhausted",
  cut: false,
});

/** Sends far more than all windows and buffers together hold, and follows the call to its end. */
async function upload(open: OpenCell, path?: string): Promise<Seen> {
  const call = open.caller.start(path === undefined ? {} : { path });
  const released = new Promise<void>((resolve) => call.request.once("close", () => resolve()));
  const seen = open.seen(call);
  call.request.end(Buffer.alloc(uploadBytes));
  const result = await seen;
  await within(patienceMs, "the end of the upload", released);
  return result;
}

async function playEarly(cell: Cell, answer: (served: Served) => void): Promise<void> {
  await inCell(cell, answer, async (open) => {
    expect(await upload(open)).toMatchObject(refused(cell.kind));
    expect(await open.event()).toMatchObject({
      outcome: "completed",
      code: "resource_exhausted",
      status: refused(cell.kind).status,
    });
    expect(open.host.view.failures).toEqual([]);
    // Three times, so that windows that are not given back would be used up.
    expect(await upload(open)).toMatchObject(refused(cell.kind));
    expect(await upload(open)).toMatchObject(refused(cell.kind));
    await open.stillServes();
    expect(open.caller.connections()).toBe(1);
    if (cell.out === "2") expect(open.provider.connections()).toBe(1);
  });
}

export const providerAnswersEarly: readonly Row[] = [
  {
    name: "and does not read the 8 MiB that are on their way: both go on, and the connection serves the next call",
    kinds: everyKind,
    play: (cell) => playEarly(cell, (served) => refuseEarly(served, cell.kind)),
  },
  {
    name: "with no more than a head",
    kinds: ["http"],
    play: (cell) =>
      inCell(
        cell,
        (served) => served.respondOnly(401),
        async (open) => {
          expect(await upload(open)).toMatchObject({ status: 401, cut: false });
          expect(await open.event()).toMatchObject({ outcome: "completed", code: "unauthenticated" });
          await open.stillServes();
          expect(open.caller.connections()).toBe(1);
        },
      ),
  },
  {
    name: "after it has read some of the body, and says that it wants no more of it",
    kinds: ["http", "connect-stream"],
    play: (cell) =>
      playEarly(cell, (served) => {
        served.body.once("data", () => {
          served.body.pause();
          refuseEarly(served, cell.kind);
          // As RFC 9113 (8.1) has it: once the answer has left, with its end, the rest of the request is not wanted.
          if (cell.out === "2") served.stream.once("wantTrailers", () => setImmediate(() => served.stream.close(0)));
          // Node sees no end of a connection that it does not read.
          setImmediate(() => served.body.resume());
        });
      }),
  },
  {
    name: "to a caller that sends nothing at all after its head, and never ends its request",
    kinds: everyKind,
    play: (cell) =>
      inCell(
        cell,
        (served) => refuseEarly(served, cell.kind),
        async (open) => {
          const call = open.caller.start();
          if ("flushHeaders" in call.request) call.request.flushHeaders();
          const { status, body } = await within(patienceMs, "the head", call.head);
          expect(status).toBe(refused(cell.kind).status);
          const ended = new Promise<void>((resolve) => body.once("end", () => resolve()));
          body.resume();
          await within(patienceMs, "the end of the answer", ended);
          await within(patienceMs, "the end of the call", open.inFlight.whenIdle());
          call.leave();
          expect(await open.event()).toMatchObject({ outcome: "completed", code: "resource_exhausted" });
        },
      ),
  },
  {
    name: "because it is the host itself that refuses",
    kinds: everyKind,
    play: (cell) =>
      inCell(
        cell,
        () => {},
        async (open) => {
          expect(await upload(open, "/services/nobody/any/x")).toMatchObject({ cut: false });
          expect(await open.event()).toMatchObject({ outcome: "refused", code: "not_found" });
          expect(await upload(open, "/services/nobody/any/x")).toMatchObject({ cut: false });
          await open.stillServes();
          expect(open.caller.connections()).toBe(1);
        },
      ),
  },
];
