import { expect, test } from "vitest";
import { PluginHostError } from "../../src/index.js";
import { deferred } from "../../src/internal/deferred.js";
import { SetStarts } from "../../src/set-starts.js";

const missing = (what: string): PluginHostError => new PluginHostError("DEPENDENCY_MISSING", `nobody provides ${what}`);

/** Plugins that provide their own name, each of which takes a turn to start and needs others by then. */
function set(mayWait: () => boolean = () => true) {
  const there = new Set<string>();
  const attempts: string[] = [];
  const starts = new SetStarts(mayWait);
  const add = (name: string, needs: readonly string[], until: Promise<void> = Promise.resolve()): Promise<string> =>
    starts.run(async () => {
      attempts.push(name);
      await until;
      const lacking = needs.find((need) => !there.has(need));
      if (lacking !== undefined) throw missing(lacking);
      there.add(name);
      return name;
    });
  return { attempts, add };
}

test("who lacks something is started again when it may be there, in whatever order they come", async () => {
  const { attempts, add } = set();
  const slow = deferred();
  const all = Promise.all([add("app", ["cache"]), add("cache", ["logger"]), add("logger", [], slow.promise)]);
  await new Promise((resolve) => setImmediate(resolve));
  expect(attempts).toEqual(["app", "cache", "logger"]);
  slow.resolve();
  expect(await all).toEqual(["app", "cache", "logger"]);
  expect(attempts.filter((name) => name === "logger")).toHaveLength(1);
});

test("who lacks what nobody brings has failed once nobody is left, with its own reason", async () => {
  const { add } = set();
  const outcomes = await Promise.allSettled([add("app", ["cache"]), add("one", ["other"]), add("other", ["one"])]);
  expect(outcomes.map((outcome) => outcome.status === "rejected" && outcome.reason.message)).toEqual([
    "nobody provides cache",
    "nobody provides other",
    "nobody provides one",
  ]);
});

test("one that begins only when another is there is waited for, too", async () => {
  const { add } = set();
  const app = add("app", ["late"]);
  const late = add("first", []).then(() => add("late", []));
  expect(await Promise.all([app, late])).toEqual(["app", "late"]);
});

test("what failed in another way is not started again, and nobody waits for it", async () => {
  const { attempts, add } = set();
  const broken = deferred();
  const app = add("app", ["cache"]);
  const cache = add("cache", [], broken.promise);
  broken.reject(new Error("no database"));
  await expect(cache).rejects.toThrow("no database");
  await expect(app).rejects.toThrow("nobody provides cache");
  expect(attempts).toEqual(["app", "cache"]);
});

test("nobody waits where it can make no difference", async () => {
  const { add } = set(() => false);
  const never = new Promise<void>(() => {});
  void add("cache", [], never);
  await expect(add("app", ["cache"])).rejects.toThrow("nobody provides cache");
});
