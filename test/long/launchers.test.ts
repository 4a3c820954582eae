import { beforeAll, describe, expect, test } from "vitest";
import { Platform, type PluginSpec } from "../../src/index.js";
import { Conductor } from "../../src/testing/gen/launcher/v1/launcher_pb.js";
import { fakePlugin, launcherContract, stub } from "../../src/testing/index.js";
import { probeOf } from "../../src/testing/launcher/probes.js";
import { ways } from "../contract/launchers/ways.js";
import { builtExamples } from "../support/built-examples.js";

// Compiles the probes.
beforeAll(() => void builtExamples());

describe.each(ways.filter(([, , starts]) => starts !== "quickly"))("%s", (_name, underTest) => {
  for (const { title, skip, run } of launcherContract(underTest)) test.skipIf(skip !== undefined)(title, run);
});

test.each([
  { name: "a child process without a port", address: undefined },
  { name: "a child process that listens", address: /^http:\/\/127\.0\.0\.1:\d+$/ },
  { name: "a module in a worker thread", address: undefined },
])("$name is what its name says", async ({ name, address }) => {
  const underTest = ways.find(([known]) => known === name)?.[1];
  const platform = new Platform();
  await platform.listen({ port: 0 });
  await platform.addPlugin({
    module: fakePlugin({ id: "conductor", provides: { conductor: stub(Conductor, { reach: {} }) } }),
  });
  const source = await underTest?.source(probeOf("steady"), { url: platform.url as string });
  const { endpointUrl } = await platform.addPlugin(source as PluginSpec);
  await platform.stop();
  if (address === undefined) expect(endpointUrl).toBeUndefined();
  else expect(endpointUrl).toMatch(address);
});
