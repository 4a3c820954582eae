import { expect } from "vitest";
import { within } from "../support/http-server.js";
import { type Callers, type CallUnderWay, ended, outcome } from "./callers.js";
import type { Sightings } from "./providers.js";

/** What one kind of call needs. */
export interface CallSite {
  readonly callers: Callers;
  /** Such as `/services/plain-1/any`. */
  readonly base: string;
  readonly headers: Record<string, string>;
  readonly id: string;
  readonly sightings: Sightings;
}

type Kind = (site: CallSite) => Promise<void>;

const start = (
  { callers, base, headers, id }: CallSite,
  path: string,
  more: Record<string, string> = {},
): CallUnderWay => callers.start(`${base}/${path}?id=${id}`, { ...headers, ...more });

/** Waits for the provider to get so far, or for the call to end before it did. */
const seen = (site: CallSite, call: CallUnderWay): Promise<void> =>
  Promise.race([site.sightings.wait(site.id), ended(call)]);

async function leave(call: CallUnderWay): Promise<void> {
  const gone = ended(call);
  call.leave();
  await within(20_000, "hanging up", gone);
}

const isAnswered: Kind = async (site) => {
  const text = `${site.id} `.repeat(1 + ((site.id.length * 7_919) % 997));
  const call = start(site, "echo");
  call.request.end(text);
  const answer = await outcome(call);
  expect(answer).toMatchObject({ status: 200, text });
};

const leavesAtOnce: Kind = async (site) => {
  const call = start(site, "silent");
  call.request.end("x");
  await leave(call);
};

const leavesBeforeHead: Kind = async (site) => {
  const call = start(site, "silent");
  const arrived = seen(site, call);
  call.request.end("x");
  await arrived;
  await leave(call);
};

const leavesAfterHead: Kind = async (site) => {
  const call = start(site, "half");
  call.request.end("x");
  expect((await within(20_000, "a head", call.head)).status).toBe(200);
  await leave(call);
};

const leavesHalfSent: Kind = async (site) => {
  const call = start(site, "echo", { "content-length": "1000" });
  call.request.write("x".repeat(500));
  await new Promise<void>((resolve) => setImmediate(resolve));
  await leave(call);
};

const isBrokenOff: Kind = async (site) => {
  const call = start(site, "breaks");
  call.request.end("x");
  expect(await outcome(call)).toBe("broken off");
};

const neverGetsAHead: Kind = async (site) => {
  const call = start(site, "dies");
  call.request.end("x");
  expect(await outcome(call)).toMatchObject({ status: 502 });
};

const isRefusedByStream: Kind = async (site) => {
  const call = start(site, "refused");
  call.request.end("x");
  expect(await outcome(call)).toMatchObject({ status: 502 });
};

const isTheLastOfItsConnection: Kind = async (site) => {
  const call = start(site, "goodbye");
  call.request.end("x");
  expect(await outcome(call)).toMatchObject({ status: 200, text: "goodbye" });
};

const closesItsHalf: Kind = async (site) => {
  const call = start(site, "silent");
  const arrived = seen(site, call);
  call.request.end("x");
  await arrived;
  const gone = ended(call);
  // Over HTTP/2 others are on the connection too.
  if ("rstCode" in call.request) call.leave();
  else call.request.socket?.end();
  await within(20_000, "the end of a call whose caller has closed its half", gone);
};

const isNotReadAndLeaves: Kind = async (site) => {
  const call = start(site, "deaf");
  const arrived = seen(site, call);
  call.request.write("x".repeat(100_000));
  await arrived;
  await leave(call);
};

const isAnsweredEarly: Kind = async (site) => {
  const call = start(site, "early");
  const answer = outcome(call);
  call.request.write("x".repeat(20_000));
  call.request.end("x".repeat(20_000));
  // The provider closes the connection that it has not read to its end, which may be seen before its answer.
  const result = await answer;
  if (result !== "broken off" && result.status === 200) expect(result.text).toBe("early");
  else expect(result).toMatchObject({ status: 502 });
  await within(20_000, "the end of an early answer", ended(call));
};

const runsOutOfTime: Kind = async (site) => {
  const call = start(site, "silent", {
    "content-type": "application/json",
    "connect-protocol-version": "1",
    "connect-timeout-ms": "20",
  });
  call.request.end("{}");
  expect(await outcome(call)).toMatchObject({ status: 504 });
};

const stallsAndLeaves: Kind = async (site) => {
  const call = start(site, "endless");
  const stalled = seen(site, call);
  call.request.end("x");
  const { body } = await within(20_000, "a head", call.head);
  body.pause();
  await stalled;
  await leave(call);
};

const findsNobody: Kind = async (site) => {
  const call = start({ ...site, base: "/services/nobody/any" }, "echo");
  call.request.end("x");
  expect(await outcome(call)).toMatchObject({ status: 404 });
};

const isRefused: Kind = async (site) => {
  const call = start({ ...site, base: "/services/closed/any" }, "echo");
  call.request.end("x");
  const answer = await outcome(call);
  // 502 when it was dialled, 503 while it is known to be down.
  expect([502, 503]).toContain(answer === "broken off" ? answer : answer.status);
};

/** Kinds of calls, and how many of a hundred are of each. A fifth are answered as they should be. */
const shares: readonly (readonly [number, Kind])[] = [
  [20, isAnswered],
  [8, leavesAtOnce],
  [8, leavesBeforeHead],
  [8, leavesAfterHead],
  [8, leavesHalfSent],
  [6, closesItsHalf],
  [6, isNotReadAndLeaves],
  [5, stallsAndLeaves],
  [6, neverGetsAHead],
  [6, isBrokenOff],
  [5, isAnsweredEarly],
  [3, isRefusedByStream],
  [3, isTheLastOfItsConnection],
  [3, runsOutOfTime],
  [2, findsNobody],
  [3, isRefused],
];

/** The kind of call that comes as number `index`; the same every time. */
export function kindOf(index: number): Kind {
  let place = (index * 37) % 100;
  for (const [share, kind] of shares) {
    place -= share;
    if (place < 0) return kind;
  }
  return isAnswered;
}

/** Calls whose session is destroyed under them end, with or without an answer. */
export async function destroySession(site: CallSite): Promise<void> {
  const calls = ["echo", "silent", "half", "endless"].map((path) => start(site, path));
  for (const call of calls) call.request.write("x");
  await new Promise<void>((resolve) => setImmediate(resolve));
  const over = Promise.all(calls.map(ended));
  site.callers.destroySome?.();
  for (const call of calls) if (site.callers.destroySome === undefined || !call.request.destroyed) call.leave();
  await within(20_000, "calls of a destroyed session", over);
}
