import { beforeAll, describe, test } from "vitest";
import { type LauncherCaseName, launcherContract } from "../../../src/testing/index.js";
import { builtExamples } from "../../support/built-examples.js";
import { ways } from "./ways.js";

// Starts of threads and processes cost most of a second, and those by others more: all cases for these are in test/long/launchers.test.ts.
const everywhere: ReadonlySet<LauncherCaseName> = new Set([
  "nobody sees the plugin before it is healthy, and then all of it",
  "it answers unary calls and all kinds of streams",
  "a start that is called off leaves nothing",
  "one that crashes while it serves is told with its reason, gets no calls, and leaves nothing",
  "its removal waits for calls in flight, then runs its shutdown hook, and leaves nothing",
]);

// Compiles the probes.
beforeAll(() => void builtExamples(), 60_000);

describe.each(ways.filter(([, , starts]) => starts !== "by others"))("%s", (_name, underTest, starts) => {
  for (const { name, title, skip, run } of launcherContract(underTest)) {
    if (starts === "quickly" || everywhere.has(name)) test.skipIf(skip !== undefined)(title, run);
  }
});
