import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, expectTypeOf, test } from "vitest";
import type { HostConfig } from "../../../../src/cli/config/config-schema.js";
import { readConfig } from "../../../../src/cli/config/read-config.js";
import type { PluginSpec, RestartOptions } from "../../../../src/index.js";

const folder = mkdtempSync(join(tmpdir(), "config-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function read(text: string) {
  writeFileSync(join(folder, "host.yaml"), text);
  return (await readConfig("host.yaml", { workingDirectory: folder, variables: {} })).config;
}

const pluginWith = (line: string): string => `plugins:\n  - module: ./a.mjs\n    ${line}\n`;

test("supervision of all plugins and of one is read", async () => {
  const text = `supervision: { firstDelayMs: 100, maxCrashes: 3 }\n${pluginWith("restart: false\n    importance: degrade")}`;
  expect(await read(text)).toEqual({
    supervision: { firstDelayMs: 100, maxCrashes: 3 },
    plugins: [{ module: "./a.mjs", restart: false, importance: "degrade" }],
  });
});

test.each([
  { have: "supervision: yes please", want: "1:14: supervision must be false or an object of names and values" },
  { have: "supervision: { firstDelay: 1 }", want: "1:16: supervision.firstDelay is not a name that may stand here" },
  { have: "supervision: { maxCrashes: 0 }", want: "1:28: supervision.maxCrashes must be at least 1, got 0" },
  { have: pluginWith("importance: high"), want: "plugins[0].importance must be one of required, degrade, optional" },
  {
    have: pluginWith("restart: { maxDelayMs: soon }"),
    want: 'plugins[0].restart.maxDelayMs must be a number, got "soon"',
  },
])("$have is refused with its place", async ({ have, want }) => {
  await expect(read(have)).rejects.toThrow(want);
});

test("settings have the names of the library's options", () => {
  type Restart = Exclude<NonNullable<NonNullable<HostConfig["plugins"]>[number]["restart"]>, false>;
  expectTypeOf<keyof Restart>().toEqualTypeOf<keyof RestartOptions>();
  type Importance = NonNullable<NonNullable<HostConfig["plugins"]>[number]["importance"]>;
  expectTypeOf<Importance>().toEqualTypeOf<NonNullable<PluginSpec["importance"]>>();
});
