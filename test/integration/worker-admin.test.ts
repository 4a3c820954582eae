import { fileURLToPath, pathToFileURL } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { toSpec } from "../../src/cli/serve/configured-plugins.js";
import { builtExamples } from "../support/built-examples.js";
import { CliFolder } from "../support/cli.js";
import { quietPlatform, workerModule } from "../support/workers.js";

beforeAll(() => void builtExamples(), 60_000);

test("an operator adds a module in a worker thread over the admin service, and is told if there is none", async () => {
  const platform = quietPlatform({ adminToken: "an-admin-token-of-some-length" });
  await platform.listen({ port: 0 });
  const add = async (specifier: string) => {
    const answer = await fetch(`${platform.url}/connectplugin.admin.v1.PlatformService/AddPlugin`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: "Bearer an-admin-token-of-some-length" },
      body: JSON.stringify({ source: { module: { specifier, worker: true } } }),
    });
    return (await answer.json()) as { plugin?: { origin: string }; message?: string };
  };
  expect((await add(fileURLToPath(workerModule("probe")))).plugin).toMatchObject({ selfId: "probe", origin: "worker" });
  expect((await add(workerModule("relay").href)).plugin).toMatchObject({ selfId: "relay", origin: "worker" });
  expect((await add("no-such-package")).message).toMatch(/no-such-package cannot be loaded/);
  expect((await add("/no/such/file.mjs")).message).toMatch(
    /no\/such\/file\.mjs cannot be loaded: there is no such file/,
  );
});

test("a configuration names a worker by a path from its folder, with its settings", async () => {
  await using folder = await CliFolder.open({ "plugin.mjs": "export default {};\n" });
  const signal = new AbortController().signal;
  const settings = { args: ["a"], env: { A: "b" }, watchdogMs: false, resourceLimits: { stackSizeMb: 2 } } as const;
  const spec = await toSpec({ worker: "./plugin.mjs", ...settings, args: ["a"] }, folder.path, signal, 0);
  expect(spec).toEqual({
    signal,
    ...settings,
    worker: fileURLToPath(new URL("plugin.mjs", pathToFileURL(`${folder.path}/`))),
  });
});
