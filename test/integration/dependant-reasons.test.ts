import { beforeAll, expect, test } from "vitest";
import { definePlugin } from "../../src/plugin/index.js";
import { builtExamples } from "../support/built-examples.js";
import { startHost } from "../support/host.js";
import { servedModule } from "../support/process-plugins.js";
import { workerModule } from "../support/workers.js";

// Compiles the program.
beforeAll(() => void builtExamples(), 60_000);

test("a plugin's health says of a dependency that was killed that it stays away, and no more that it is about to dial again", async () => {
  await using host = await startHost({ supervision: { maxCrashes: 1 } });
  const { runtimeId, pid } = await host.platform.addPlugin(servedModule(workerModule("probe")));
  let timesLost = 0;
  const dependant = definePlugin({
    id: "dependant",
    version: "1.0.0",
    requires: { probe: {} },
    setup(plugin) {
      plugin.onDependencyLost("probe", () => {
        timesLost += 1;
      });
    },
  });
  await host.platform.addPlugin({ module: dependant });
  const reasonOf = (id: string): string => host.platform.plugins().find(({ selfId }) => selfId === id)?.reason ?? "";
  process.kill(pid as number, "SIGKILL");
  await host.until(() => /is not started again/.test(reasonOf("dependant")));
  expect(host.platform.plugin(runtimeId)?.supervision.kind).toBe("quarantined");
  expect(reasonOf("dependant")).toContain(reasonOf("probe"));
  expect(reasonOf("dependant")).not.toContain("dialled again");
  expect(timesLost).toBe(1);
});
