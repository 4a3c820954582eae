import { describe, expect, test } from "vitest";
import type { InFlightEntry } from "../../../src/internal/in-flight.js";
import { type DecideOptions, type Decision, decide, type Forward, type Refuse } from "../../../src/router/decide.js";
import { ProviderQueue, type WaitingCall } from "../../../src/router/provider-queue.js";
import { manualClock } from "../../support/manual-clock.js";
import { FakeView, pluginRecord, registrationRecord } from "../../support/router-host.js";

/** A call that tells what became of it, and is in flight until `end`. */
class Call implements WaitingCall, InFlightEntry {
  readonly serviceType = "logger";
  readonly pinned: boolean;
  fate = "";
  refusal: Refuse | undefined;
  #forward: Forward | undefined;

  constructor(
    readonly bench: Bench,
    readonly callerKey: string,
    readonly runtimeId: string | undefined,
  ) {
    this.pinned = runtimeId !== undefined;
  }

  decide(): Decision {
    this.bench.decisions++;
    const target = { kind: "target", serviceType: "logger", runtimeId: this.runtimeId, rest: "", query: "" } as const;
    const caller = { kind: "plugin", runtimeId: this.callerKey, selfId: "app" } as const;
    return decide({ target, caller, contentLength: undefined, waited: true }, this.bench.view, this.bench.options);
  }

  start(): this {
    const decision = this.decide();
    if (decision.kind === "forward") this.forward(decision);
    else if (decision.busy === true) this.bench.queue.join(this, decision);
    else this.refuse(decision);
    return this;
  }

  forward(decision: Forward): void {
    this.#forward = decision;
    this.fate = decision.provider.plugin.runtimeId;
    this.bench.order.push(this);
    decision.provider.inFlight.enter(this);
    if (this.bench.endsAtOnce) this.end();
  }

  refuse(refusal: Refuse): void {
    this.refusal = refusal;
    this.fate = refusal.code;
  }

  end(): void {
    this.#forward?.provider.inFlight.leave(this);
  }

  abort(): void {
    this.end();
  }
}

class Bench {
  readonly clock = manualClock();
  readonly view = new FakeView();
  readonly order: Call[] = [];
  readonly queue: ProviderQueue;
  readonly options: DecideOptions;
  endsAtOnce = false;
  decisions = 0;

  constructor(maxInFlightPerProvider = 1, maxQueuedPerProvider = 10) {
    this.queue = new ProviderQueue({
      clock: this.clock,
      maxInFlightPerProvider,
      maxQueuedPerProvider,
      queueTimeoutMs: 1_000,
    });
    this.options = {
      full: this.queue.full,
      maxBodyBytes: 100,
      maxInFlightPerProvider,
      retryAfterMs: 1_000,
      basePathOf: () => "",
    };
  }

  provider(runtimeId: string) {
    return this.view.add(pluginRecord({ runtimeId }), registrationRecord({ runtimeId }));
  }

  call(runtimeId?: string, caller = "app-1"): Call {
    return new Call(this, caller, runtimeId).start();
  }
}

describe("calls that name their provider", () => {
  test("wait in their order, and each leaves its place to the next", () => {
    const bench = new Bench();
    const { inFlight } = bench.provider("logger-1");
    const [first, second, third] = [bench.call("logger-1"), bench.call("logger-1"), bench.call("logger-1")];
    expect([first.fate, second.fate, third.fate]).toEqual(["logger-1", "", ""]);
    expect(bench.queue.waitingFor("logger-1")).toBe(2);
    first.end();
    expect([second.fate, third.fate, inFlight.count]).toEqual(["logger-1", "", 1]);
    second.end();
    third.end();
    expect(bench.order).toEqual([first, second, third]);
    expect([inFlight.count, bench.queue.size, inFlight.onLeave]).toEqual([0, 0, undefined]);
    bench.clock.advance(5_000);
    expect(bench.clock.pending).toBe(0);
  });

  test("are refused when the queue is full, and when their wait is over", () => {
    const bench = new Bench(1, 1);
    bench.provider("logger-1");
    bench.call("logger-1");
    const waiting = bench.call("logger-1");
    const late = bench.call("logger-1");
    expect(late.refusal).toMatchObject({ code: "unavailable", httpStatus: 503, retryAfterMs: 1_000 });
    expect(late.refusal?.reason).toContain("1 more wait already");
    bench.clock.advance(999);
    expect(waiting.fate).toBe("");
    bench.clock.advance(1);
    expect(waiting.refusal).toMatchObject({ code: "unavailable", httpStatus: 503, retryAfterMs: 1_000 });
    expect(waiting.refusal?.reason).toContain("has waited 1000 ms");
    expect(bench.queue.size).toBe(0);
  });

  test("of one caller cannot fill the queue for another's, and callers take turns", () => {
    const bench = new Bench(1, 4);
    bench.provider("logger-1");
    const running = bench.call("logger-1", "flood");
    const flood = Array.from({ length: 6 }, () => bench.call("logger-1", "flood"));
    const modest = bench.call("logger-1", "modest");
    expect(flood.map(({ fate }) => fate)).toEqual(["", "", "", "unavailable", "unavailable", "unavailable"]);
    expect(modest.fate).toBe("");
    running.end();
    flood[0]?.end();
    expect([flood[0]?.fate, modest.fate, flood[1]?.fate]).toEqual(["logger-1", "logger-1", ""]);
  });

  test("that leave give their place back", () => {
    const bench = new Bench(1, 1);
    bench.provider("logger-1");
    const running = bench.call("logger-1");
    const gone = bench.call("logger-1");
    bench.queue.leave(gone);
    const next = bench.call("logger-1");
    running.end();
    expect([gone.fate, next.fate]).toEqual(["", "logger-1"]);
  });

  test("go to the provider that takes the place of theirs, however full its queue is", () => {
    const bench = new Bench(1, 1);
    const before = bench.provider("logger-1");
    bench.call("logger-1");
    const moved = bench.call("logger-1");
    const after = bench.provider("logger-2");
    const other = bench.call("logger-2");
    const queued = bench.call("logger-2");
    // From now on the first id leads to the second provider.
    const { pinned } = bench.view;
    bench.view.pinned = (type, id) => pinned.call(bench.view, type, id === "logger-1" ? "logger-2" : id);
    bench.queue.reconsider(new Set(["logger"]));
    expect([moved.fate, queued.fate, bench.queue.waitingFor("logger-2")]).toEqual(["", "", 2]);
    other.end();
    queued.end();
    expect([moved.fate, after.inFlight.count, before.inFlight.count]).toEqual(["logger-2", 1, 1]);
  });

  test("are refused with the reason when their provider drains, is unhealthy, or goes", () => {
    const bench = new Bench();
    const provider = bench.provider("logger-1");
    bench.call("logger-1");
    const drained = bench.call("logger-1");
    provider.plugin = { ...provider.plugin, phase: { kind: "draining", reason: "removed" } };
    bench.queue.reconsider(new Set(["storage"]));
    expect(drained.fate).toBe("");
    bench.queue.reconsider(new Set(["logger"]));
    expect(drained.refusal).toMatchObject({ code: "unavailable", reason: "logger-1 is draining: removed" });
    provider.plugin = pluginRecord();
    const orphan = bench.call("logger-1");
    bench.view.providers.pop();
    bench.queue.reconsider(new Set(["logger"]));
    expect(orphan.fate).toBe("not_found");
  });

  test("end one after the other, and not one within the other, if each ends at once", () => {
    const bench = new Bench(1, 20_000);
    const { inFlight } = bench.provider("logger-1");
    const running = bench.call("logger-1");
    const waiting = Array.from({ length: 20_000 }, () => bench.call("logger-1"));
    bench.endsAtOnce = true;
    running.end();
    expect(waiting.every(({ fate }) => fate === "logger-1")).toBe(true);
    expect([inFlight.count, bench.queue.size]).toEqual([0, 0]);
  });
});

describe("calls for any provider", () => {
  test("go to one with room before they wait, and to the first that has room then", () => {
    const bench = new Bench();
    bench.provider("logger-1");
    bench.provider("logger-2");
    const [first, second, third] = [bench.call(), bench.call(), bench.call()];
    expect([first.fate, second.fate, third.fate]).toEqual(["logger-1", "logger-2", ""]);
    expect([bench.queue.waitingFor("logger-1"), bench.queue.waitingFor("logger-2")]).toEqual([1, 1]);
    second.end();
    expect(third.fate).toBe("logger-2");
  });

  test("wait in a line that is as long for each provider that is full", () => {
    const bench = new Bench(1, 2);
    bench.provider("logger-1");
    bench.provider("logger-2");
    const calls = Array.from({ length: 7 }, () => bench.call());
    expect(calls.map(({ fate }) => fate)).toEqual(["logger-1", "logger-2", "", "", "", "", "unavailable"]);
  });

  test("go to a provider that comes while they wait", () => {
    const bench = new Bench();
    bench.provider("logger-1");
    bench.call();
    const waiting = bench.call();
    bench.provider("logger-2");
    bench.queue.reconsider(new Set(["logger"]));
    expect(waiting.fate).toBe("logger-2");
  });

  test("take turns with those that name the provider, by who came first", () => {
    const bench = new Bench();
    bench.provider("logger-1");
    const running = bench.call("logger-1");
    const any = bench.call();
    const named = bench.call("logger-1");
    running.end();
    expect([any.fate, named.fate]).toEqual(["logger-1", ""]);
    any.end();
    expect(named.fate).toBe("logger-1");
  });

  test("that room does not help let others pass that it does help", () => {
    const bench = new Bench();
    bench.provider("logger-1");
    bench.provider("logger-2");
    const { choose } = bench.view;
    // The first caller may use the second provider only.
    bench.view.choose = (type, caller, exclude) =>
      choose.call(
        bench.view,
        type,
        caller,
        "runtimeId" in caller && caller.runtimeId === "picky" ? new Set([...(exclude ?? []), "logger-1"]) : exclude,
      );
    const running = bench.call();
    bench.call();
    const picky = bench.call(undefined, "picky");
    const other = bench.call(undefined, "other");
    running.end();
    expect([picky.fate, other.fate]).toEqual(["", "logger-1"]);
  });

  test("cost one decision each when a place becomes free, however many wait", () => {
    const bench = new Bench(1, 1_000);
    bench.provider("logger-1");
    let running = bench.call();
    const waiting = Array.from({ length: 100 }, () => bench.call());
    bench.decisions = 0;
    for (const next of waiting) {
      running.end();
      running = next;
    }
    expect(bench.decisions).toBe(100);
  });
});

test("a provider that is on trial takes one call; the others wait until it is answered", () => {
  const bench = new Bench(5);
  let isTaken = false;
  const provider = Object.assign(bench.provider("logger-1"), {
    trial: {
      get isTaken() {
        return isTaken;
      },
      take: () => {
        isTaken = true;
      },
    } as { readonly isTaken: boolean; take(): void } | undefined,
  });
  const [trial, second, third] = [bench.call("logger-1"), bench.call("logger-1"), bench.call()];
  expect([trial.fate, second.fate, third.fate]).toEqual(["logger-1", "", ""]);
  provider.trial = undefined;
  bench.queue.roomAt("logger-1");
  expect([second.fate, third.fate, provider.inFlight.count]).toEqual(["logger-1", "logger-1", 3]);
});

test("closing refuses all that wait, and forgets providers and timers", () => {
  const bench = new Bench();
  const { inFlight } = bench.provider("logger-1");
  bench.call("logger-1");
  const waiting = [bench.call("logger-1"), bench.call()];
  bench.queue.close("the host is stopping");
  expect(waiting.map(({ refusal }) => refusal?.reason)).toEqual(["the host is stopping", "the host is stopping"]);
  expect([bench.queue.size, inFlight.onLeave, bench.clock.pending]).toEqual([0, undefined, 0]);
});
