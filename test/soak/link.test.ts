import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { definePlugin, type ServedPlugin, servePlugin } from "../../src/plugin/index.js";
import { FakeHost } from "../support/fake-host.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { CountingClock, heapBytes } from "./census.js";

const calls = 100_000;
const atOnce = 64;
const mebibyte = 1024 * 1024;

const clock = new CountingClock();
const complaints: unknown[] = [];
const complain = (complaint: unknown): void => void complaints.push(complaint);
let host: FakeHost;
let served: ServedPlugin[];
let client: Client<typeof Echo>;
/** Calls that are with their implementation. */
let inside = 0;

/** Waits for its caller to go, or for a turn of the event loop or two. */
async function linger(signal: AbortSignal, turns: number): Promise<void> {
  inside += 1;
  try {
    for (let turn = 0; turn < turns && !signal.aborted; turn++) await new Promise((resolve) => setImmediate(resolve));
    signal.throwIfAborted();
  } finally {
    inside -= 1;
  }
}

beforeAll(async () => {
  process.on("warning", complain).on("unhandledRejection", complain);
  host = await FakeHost.start({ links: true, forgetsCalls: true });
  const settings = { hostUrl: host.url, env: {}, listen: "never", clock, heartbeatMs: 600_000 } as const;
  const provider = definePlugin({
    id: "provider",
    version: "1.0.0",
    provides: { echo: { service: Echo } },
    setup: () => ({
      echo: {
        async say({ text }, { signal }) {
          await linger(signal, text.length % 4);
          return { text };
        },
        async *serverStream({ text, count }, { signal }) {
          for (let index = 0; index < count; index++) {
            await linger(signal, 1);
            yield { text, index };
          }
        },
        async clientStream(requests, { signal }) {
          let count = 0;
          for await (const _ of requests) count += 1;
          await linger(signal, 1);
          return { count };
        },
        async *bidiStream(requests, { signal }) {
          for await (const { text } of requests) {
            await linger(signal, 1);
            yield { text };
          }
        },
      },
    }),
  });
  const caller = definePlugin({
    id: "caller",
    version: "1.0.0",
    requires: { echo: { service: Echo } },
    setup: (plugin) => {
      client = plugin.client("echo");
    },
  });
  served = [await servePlugin(provider, settings), await servePlugin(caller, settings)];
});

afterAll(async () => {
  for (const plugin of served) await plugin.stop({ graceMs: 0 });
  await host[Symbol.asyncDispose]();
  process.off("warning", complain).off("unhandledRejection", complain);
});

async function* questions(count: number): AsyncGenerator<{ text: string }> {
  for (let index = 0; index < count; index++) {
    yield { text: "x".repeat(index) };
    await undefined;
  }
}

async function oneCall(index: number, options: { signal?: AbortSignal; timeoutMs?: number }): Promise<void> {
  const text = "x".repeat(index % 50);
  if (index % 8 < 5) return void (await client.say({ text }, options));
  if (index % 8 === 5) return void (await client.clientStream(questions(index % 5), options));
  const answers =
    index % 8 === 6
      ? client.serverStream({ text, count: index % 6 }, options)
      : client.bidiStream(questions(index % 4), options);
  let read = 0;
  // Some leave early.
  for await (const _ of answers) if (++read === 1 + (index % 7)) break;
}

/** Keeps so many calls going, of which some are given up at a moment that nobody has chosen. */
async function load(count: number): Promise<Map<Code | "ok", number>> {
  const outcomes = new Map<Code | "ok", number>();
  let begun = 0;
  const worker = async (): Promise<void> => {
    while (begun < count) {
      const index = begun++;
      const stop = new AbortController();
      const mode = Math.random();
      const options = mode < 0.3 ? { signal: stop.signal } : mode < 0.4 ? { timeoutMs: 1 + (index % 20) } : {};
      const giveUp = async (): Promise<void> => {
        for (let turn = Math.random() * 4; turn > 1; turn--) await new Promise((resolve) => setImmediate(resolve));
        stop.abort();
      };
      if (mode < 0.3) void giveUp();
      const outcome = await oneCall(index, options).then(
        () => "ok" as const,
        (error: unknown) => ConnectError.from(error).code,
      );
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return outcomes;
}

/** Resolves when nothing goes on any more on any link. */
async function quiet(): Promise<void> {
  const busy = (): boolean => inside > 0 || [...host.links.values()].some(({ stats }) => stats.openStreams > 1);
  while (busy()) await new Promise((resolve) => setImmediate(resolve));
}

test("a hundred thousand calls, many given up, leave nothing behind", async () => {
  // The first calls fill caches and compile code.
  await load(5_000);
  await quiet();
  const timers = clock.pending;
  const before = heapBytes();
  const outcomes = await load(calls);
  await quiet();
  const after = heapBytes();
  expect(
    [...outcomes.keys()].every((code) => code === "ok" || code === Code.Canceled || code === Code.DeadlineExceeded),
  ).toBe(true);
  expect(outcomes.get("ok")).toBeGreaterThan(calls / 2);
  expect(outcomes.get(Code.Canceled)).toBeGreaterThan(1_000);
  expect(clock.pending - timers).toBeLessThanOrEqual(2);
  expect(after - before).toBeLessThan(8 * mebibyte);
  for (const session of host.links.values()) {
    expect(session.stats).toMatchObject({ waitingCalls: 0 });
    expect(session.stats.unreadBytes).toBeLessThan(1_024);
  }
  expect(host.dialled.length).toBe(2);
  expect(complaints).toEqual([]);
});
