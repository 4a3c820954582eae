import { Platform } from "connect-plugin-host";
import { definePlugin } from "connect-plugin-host/plugin";
import { expect, test } from "vitest";

test("a dependant of our SDK that does nothing about a lost dependency does not use up the grace of its removal", async () => {
  await using platform = new Platform();
  const provider = definePlugin({
    id: "provider",
    version: "1.0.0",
    provides: { thing: { handler: "fetch" } },
    setup: () => ({ thing: () => new Response("here") }),
  });
  const dependant = definePlugin({ id: "dependant", version: "1.0.0", requires: { thing: {} }, setup: () => {} });
  const watching = new Promise<void>((resolve) => {
    platform.on("changed", () => {
      if (platform.registry.openWatches > 0) resolve();
    });
  });
  const [added] = await platform.addPlugins([{ module: provider }, { module: dependant }]);
  // The dependant's watch opens by itself; one change after it is enough to see that it stands.
  const extra = await platform.addPlugin({
    module: definePlugin({ id: "extra", version: "1.0.0", setup: () => {} }),
  });
  await platform.removePlugin(extra.runtimeId);
  await watching;
  const startedAt = performance.now();
  const impact = await platform.removePlugin(added?.runtimeId ?? "", { limits: { graceMs: 5_000 } });
  expect(impact.affectedPlugins).toHaveLength(1);
  expect(performance.now() - startedAt).toBeLessThan(1_000);
});
