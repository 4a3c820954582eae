import fc from "fast-check";
import { expect, test } from "vitest";
import { callKind, resetCode } from "../../src/link/frame.js";
import type { LinkStream } from "../../src/link/link-stream.js";
import { type LinkPair, openLinkPair, recorder } from "../support/link-pair.js";

const streamWindowBytes = 2_000;
const linkWindowBytes = 3_000;
const pieceCost = 16;

/** One call whose caller sends and whose taker reads when it likes. */
interface Flow {
  readonly sender: LinkStream;
  readonly taker: () => LinkStream | undefined;
  readonly sent: number[];
  readonly received: number[];
  /** Received and not consumed, as windows count. */
  unread: number;
  ended: boolean;
  sawEnd: boolean;
  over: boolean;
}

class Model {
  readonly flows: Flow[] = [];
  next = 0;
}

interface Real {
  readonly pair: LinkPair;
  readonly incoming: Map<string, LinkStream>;
  readonly flows: Map<string, Flow>;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function check({ flows }: Model, { pair }: Real): void {
  const unread = flows.reduce((sum, flow) => sum + flow.unread, 0);
  for (const flow of flows) {
    expect(flow.unread).toBeLessThanOrEqual(streamWindowBytes);
    expect(flow.received).toEqual(flow.sent.slice(0, flow.received.length));
    if (flow.sawEnd) expect(flow.received).toHaveLength(flow.sent.length);
  }
  expect(unread).toBeLessThanOrEqual(linkWindowBytes);
  expect(pair.acceptor.session.stats.unreadBytes).toBeLessThanOrEqual(linkWindowBytes);
  expect([pair.dialler.closed, pair.acceptor.closed, pair.dialler.errors, pair.acceptor.errors]).toEqual([
    [],
    [],
    [],
    [],
  ]);
}

type Command = fc.AsyncCommand<Model, Real>;
const on = (pick: number, { flows }: Model): Flow | undefined => {
  const open = flows.filter(({ over }) => !over);
  return open[pick % Math.max(1, open.length)];
};

class Open implements Command {
  check = ({ flows }: Model): boolean => flows.filter(({ over }) => !over).length < 5;
  async run(model: Model, real: Real): Promise<void> {
    const path = `/${model.next++}`;
    const head = { kind: callKind.clientStream, path, deadlineMs: 0, fields: [] };
    const flow: Flow = {
      sender: real.pair.dialler.session.open(head, recorder()),
      taker: () => real.incoming.get(path),
      sent: [],
      received: [],
      unread: 0,
      ended: false,
      sawEnd: false,
      over: false,
    };
    model.flows.push(flow);
    real.flows.set(path, flow);
  }
  toString = (): string => "open";
}

class Send implements Command {
  readonly #pick: number;
  readonly #length: number;
  constructor(pick: number, length: number) {
    this.#pick = pick;
    this.#length = length;
  }
  check = (model: Model): boolean => on(this.#pick, model)?.ended === false;
  async run(model: Model): Promise<void> {
    const flow = on(this.#pick, model) as Flow;
    const bytes = Uint8Array.from({ length: this.#length }, (_, index) => (flow.sent.length + index) % 251);
    flow.sent.push(...bytes);
    flow.sender.send(bytes);
  }
  toString = (): string => `send(${this.#pick}, ${this.#length})`;
}

class Act implements Command {
  readonly #what: "consume" | "cancel" | "refuse" | "end";
  readonly #pick: number;
  constructor(what: "consume" | "cancel" | "refuse" | "end", pick: number) {
    this.#what = what;
    this.#pick = pick;
  }
  check = (model: Model): boolean => on(this.#pick, model) !== undefined;
  async run(model: Model): Promise<void> {
    const flow = on(this.#pick, model) as Flow;
    if (this.#what === "end") {
      flow.ended = true;
      flow.sender.end();
    } else if (this.#what === "consume") {
      flow.unread = 0;
      flow.taker()?.consume();
    } else if (this.#what === "cancel" || flow.taker() !== undefined) {
      (this.#what === "cancel" ? flow.sender : (flow.taker() as LinkStream)).reset(resetCode.cancelled);
      flow.over = true;
      flow.unread = 0;
    }
  }
  toString = (): string => `${this.#what}(${this.#pick})`;
}

class Deliver implements Command {
  readonly #cuts: number;
  constructor(cuts: number) {
    this.#cuts = cuts;
  }
  check = (): boolean => true;
  async run(model: Model, real: Real): Promise<void> {
    const { dialler, acceptor } = real.pair;
    const split = (bytes: Uint8Array): Uint8Array[] => {
      const parts = [];
      for (let at = 0; at < bytes.length; at += this.#cuts) parts.push(bytes.subarray(at, at + this.#cuts));
      return parts;
    };
    await turn();
    dialler.transport.deliver(split);
    await turn();
    acceptor.transport.deliver(split);
    await turn();
    check(model, real);
  }
  toString = (): string => `deliver(${this.#cuts})`;
}

class Block implements Command {
  readonly #capacity: number;
  constructor(capacity: number) {
    this.#capacity = capacity;
  }
  check = (): boolean => true;
  async run(_model: Model, { pair }: Real): Promise<void> {
    pair.dialler.transport.capacityBytes = this.#capacity;
  }
  toString = (): string => `block(${this.#capacity})`;
}

const pick = fc.nat({ max: 9 });
const commands = [
  fc.constant(new Open()),
  fc.tuple(pick, fc.integer({ min: 0, max: 6_000 })).map(([flow, length]) => new Send(flow, length)),
  fc.tuple(pick, fc.integer({ min: 0, max: 40 })).map(([flow, length]) => new Send(flow, length)),
  pick.map((flow) => new Act("consume", flow)),
  pick.map((flow) => new Act("consume", flow)),
  pick.map((flow) => new Act("end", flow)),
  pick.map((flow) => new Act("cancel", flow)),
  pick.map((flow) => new Act("refuse", flow)),
  fc.integer({ min: 1, max: 5_000 }).map((cuts) => new Deliver(cuts)),
  fc.integer({ min: 1, max: 5_000 }).map((cuts) => new Deliver(cuts)),
  fc.constantFrom(0, 3_000, Number.POSITIVE_INFINITY).map((capacity) => new Block(capacity)),
];

test("whatever streams send, read, end and cancel, windows hold, bytes come in order, and who reads gets everything", async () => {
  await fc.assert(
    fc.asyncProperty(fc.commands(commands, { maxCommands: 60, size: "max" }), async (run) => {
      const [incoming, flows] = [new Map<string, LinkStream>(), new Map<string, Flow>()];
      const pair = await openLinkPair({
        limits: { streamWindowBytes, linkWindowBytes },
        onCall(stream) {
          incoming.set(stream.head.path, stream);
          const flow = flows.get(stream.head.path) as Flow;
          return {
            pieces: true,
            onData(bytes) {
              flow.received.push(...bytes);
              flow.unread += bytes.length + pieceCost;
            },
            onEnd: () => {
              flow.sawEnd = true;
            },
            onReset: () => {
              flow.over = true;
              flow.unread = 0;
            },
          };
        },
      });
      const [model, real] = [new Model(), { pair, incoming, flows }];
      await fc.asyncModelRun(() => ({ model, real }), run);
      // Whoever reads from now on must get all of it, and one that still does not must not keep the others waiting.
      pair.dialler.transport.capacityBytes = Number.POSITIVE_INFINITY;
      const [stuck, ...others] = model.flows.filter(({ over }) => !over);
      const readers = stuck === undefined ? [] : others;
      for (const flow of readers) {
        flow.ended = true;
        flow.sender.end();
      }
      for (let round = 0; round < 400 && readers.some(({ sawEnd }) => !sawEnd); round++) {
        await pair.settle();
        check(model, real);
        for (const flow of readers) {
          flow.unread = 0;
          flow.taker()?.consume();
        }
      }
      expect(readers.every(({ sawEnd }) => sawEnd)).toBe(true);
      check(model, real);
      for (const { sender } of model.flows) sender.reset(resetCode.cancelled);
      await pair.settle();
      expect([pair.dialler.session.stats, pair.acceptor.session.stats]).toMatchObject([
        { openStreams: 0, unreadBytes: 0 },
        { openStreams: 0, unreadBytes: 0 },
      ]);
    }),
    { numRuns: 120 },
  );
});
