import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { deferred } from "../../../src/internal/deferred.js";
import { notSentField } from "../../../src/model/not-sent.js";
import { MemberChoice, type MemberChoiceOptions, mostHopeful } from "../../../src/plugin/member-choice.js";
import type { DependencyState } from "../../../src/plugin/plugin-definition.js";
import type { ResolvedDependency } from "../../../src/plugin/resolve-definition.js";
import { manualClock } from "../../support/manual-clock.js";

const member = (type: string) => ({ type }) as ResolvedDependency;

function choiceOf(given: Partial<MemberChoiceOptions> = {}) {
  const clock = manualClock();
  const told = deferred();
  const states = new Map<string, DependencyState["state"]>();
  const choice = new MemberChoice({
    members: [member("first"), member("second"), member("third")],
    stateOf: (type) => {
      const state = states.get(type);
      return state && { state, reason: "" };
    },
    isPassable: () => true,
    ready: async () => {},
    told: told.promise,
    waitMs: 1_000,
    clock,
    hasBeen: (runtimeId) => runtimeId === "me",
    ...given,
  });
  return { choice, clock, told, states, types: () => choice.ranked().map(({ type }) => type) };
}

const turns = async (): Promise<void> => {
  for (let count = 0; count < 10; count++) await Promise.resolve();
};

describe("a call that may go to one of several service types", () => {
  test("waits until it is known who is there, and later calls do not", async () => {
    const { choice, told, clock } = choiceOf();
    let settled = false;
    const waits = choice.settled().then(() => {
      settled = true;
    });
    await turns();
    expect([settled, choice.isSettled]).toEqual([false, false]);
    told.resolve();
    await waits;
    expect(choice.isSettled).toBe(true);
    expect(clock.pending).toBe(0);
  });

  test("waits no longer than it may, all calls together", async () => {
    const { choice, clock } = choiceOf();
    const first = choice.settled();
    await turns();
    clock.advance(600);
    const second = choice.settled();
    await turns();
    expect(choice.isSettled).toBe(false);
    clock.advance(400);
    await Promise.all([first, second]);
    expect(choice.isSettled).toBe(true);
  });

  test("leaves with its caller, and the others go on waiting", async () => {
    const { choice, clock } = choiceOf();
    const caller = new AbortController();
    const waits = choice.settled(caller.signal);
    await turns();
    caller.abort();
    await waits;
    expect([choice.isSettled, clock.pending]).toEqual([false, 1]);
  });

  test("fails if there is no identity, and says so", async () => {
    const error = new ConnectError("no identity", Code.Unavailable);
    const { choice } = choiceOf({ ready: () => Promise.reject(error) });
    await expect(choice.settled()).rejects.toBe(error);
  });

  test("prefers what is available, then what is degraded, then what is not known; else the order of `anyOf`", () => {
    const { types, states } = choiceOf();
    expect(types()).toEqual(["first", "second", "third"]);
    states.set("first", "unavailable");
    expect(types()).toEqual(["second", "third", "first"]);
    states.set("second", "degraded").set("third", "available");
    expect(types()).toEqual(["third", "second", "first"]);
    states.set("first", "available");
    expect(types()).toEqual(["first", "third", "second"]);
  });

  test("prefers whoever is not there to one whose circuit is open", () => {
    const { types, states } = choiceOf({ isPassable: (type) => type !== "first" });
    states.set("first", "available").set("second", "unavailable").set("third", "unavailable");
    expect(types()).toEqual(["second", "third", "first"]);
  });
});

describe("a call that failed goes on to the next service type", () => {
  const refusal = (code: Code, of: string) => new ConnectError("no", code, { [notSentField]: of });

  test.each([
    { what: "the host says that nobody provides it", error: refusal(Code.NotFound, "me"), goesOn: true },
    { what: "the host says that nobody is ready", error: refusal(Code.Unavailable, "me"), goesOn: true },
    { what: "it was refused to somebody else", error: refusal(Code.NotFound, "other"), goesOn: false },
    { what: "a provider may have got it", error: new ConnectError("lost", Code.Unavailable), goesOn: false },
    { what: "a provider has not found something", error: new ConnectError("no", Code.NotFound), goesOn: false },
    { what: "the caller may not call", error: refusal(Code.PermissionDenied, "me"), goesOn: false },
  ])("$what: $goesOn", ({ error, goesOn }) => {
    expect(choiceOf().choice.isNotThere(error)).toBe(goesOn);
  });

  test("and if none is left, fails with what may pass", () => {
    const [first, second] = [refusal(Code.NotFound, "me"), refusal(Code.Unavailable, "me")];
    expect(mostHopeful([first, second])).toBe(second);
    expect(mostHopeful([first, refusal(Code.NotFound, "me")])).toBe(first);
  });
});
