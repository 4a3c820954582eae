import { once } from "node:events";
import { expect } from "vitest";
import { within } from "../../support/http-server.js";
import { inCell, type OpenCell, patienceMs } from "./cell.js";
import { type Cell, contentTypes, envelope, everyKind, isStream, type Kind, message, type Seen } from "./kinds.js";
import type { Served } from "./provider.js";
import type { Row } from "./table.js";

type Death = "die" | "crash";

const deaths: readonly { readonly how: string; readonly death: Death }[] = [
  { how: "ends the call without an end", death: "die" },
  { how: "loses its connection", death: "crash" },
];

async function expectFailure(open: OpenCell): Promise<void> {
  expect(await open.event()).toMatchObject({ outcome: "provider-failed", code: "unavailable" });
  expect(open.host.view.failures).toHaveLength(1);
}

/** Writes, and breaks off once the caller has got everything so far. */
const diesHalfWay = (death: Death, kind: Kind, parts: readonly Buffer[], fields: Record<string, string> = {}) => {
  let served: Served | undefined;
  return {
    serve: (one: Served): void => {
      served = one;
      one.body.resume();
      one.respond(200, { "content-type": contentTypes[kind], ...fields });
      for (const part of parts) one.write(part);
    },
    break: (): void => served?.[death](),
  };
};

async function playHalfWay(cell: Cell, death: Death, parts: readonly Buffer[], wanted: Partial<Seen>, fields = {}) {
  const provider = diesHalfWay(death, cell.kind, parts, fields);
  await inCell(cell, provider.serve, async (open) => {
    const call = open.caller.start();
    call.request.end("x");
    const { body } = await within(patienceMs, "the head", call.head);
    const seen = open.seen(call);
    if (parts.length > 0) await within(patienceMs, "the first bytes", once(body, "data"));
    provider.break();
    expect(await seen).toMatchObject(wanted);
    await expectFailure(open);
  });
}

const firstMessage = (kind: Kind): Buffer => message(kind, "one");
const cut = { code: "none", cut: true } as const;

const rowsOf = ({ how, death }: (typeof deaths)[number]): Row[] => [
  {
    name: `${how} before its head: the caller gets an error`,
    kinds: everyKind,
    play: (cell) =>
      inCell(
        cell,
        (served) => served[death](),
        async (open) => {
          const call = open.caller.start();
          const seen = open.seen(call);
          call.request.end("x");
          expect(await seen).toMatchObject({
            status: isStream(cell.kind) ? 200 : 502,
            code: "unavailable",
            cut: false,
          });
          await expectFailure(open);
        },
      ),
  },
  {
    name: `${how} after its head: the caller gets an error of its protocol, or a cut answer`,
    kinds: everyKind,
    play: (cell) =>
      playHalfWay(cell, death, [], isStream(cell.kind) ? { code: "unavailable", cut: false, texts: [] } : cut),
  },
  {
    name: `${how} after a whole message: the caller gets that, and then the same`,
    kinds: everyKind,
    play: (cell) =>
      playHalfWay(
        cell,
        death,
        [firstMessage(cell.kind)],
        isStream(cell.kind) ? { code: "unavailable", cut: false, texts: ["one"] } : cut,
      ),
  },
  {
    name: `${how} in the middle of a message: the answer is cut off`,
    kinds: everyKind,
    play: (cell) =>
      playHalfWay(
        cell,
        death,
        [Buffer.concat([firstMessage(cell.kind), envelope(0, "two").subarray(0, 6)])],
        isStream(cell.kind) ? { ...cut, texts: ["one"] } : cut,
      ),
  },
  {
    name: `${how} before the announced length is reached: the answer is cut off`,
    kinds: ["http", "connect-unary", "grpc-web"],
    play: (cell) => playHalfWay(cell, death, [firstMessage(cell.kind)], cut, { "content-length": "1000" }),
  },
  {
    name: `${how} while the caller still sends`,
    kinds: ["http", "connect-stream", "grpc"],
    play: (cell) =>
      inCell(
        cell,
        (served) => void served.body.once("data", () => served[death]()),
        async (open) => {
          const call = open.caller.start();
          const seen = open.seen(call);
          call.request.write(Buffer.alloc(300_000));
          await within(patienceMs, "the head", call.head);
          call.request.end();
          expect(await seen).toMatchObject({ code: "unavailable", cut: false });
          await expectFailure(open);
        },
      ),
  },
];

export const providerDies: readonly Row[] = deaths.flatMap(rowsOf);
