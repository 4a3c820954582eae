import { beforeAll, describe, test } from "vitest";
import { launcherContract } from "../../src/testing/index.js";
import { ways } from "../contract/launchers/ways.js";
import { builtExamples } from "../support/built-examples.js";

// Compiles the probes.
beforeAll(() => void builtExamples());

describe.each(ways.filter(([, , starts]) => starts === "slowly"))("%s", (_name, underTest) => {
  for (const { title, skip, run } of launcherContract(underTest)) test.skipIf(skip !== undefined)(title, run);
});
