import { expect, test } from "vitest";
import type { HostedModule, RunningModule } from "../../../src/index.js";
import { type LauncherCaseName, type LauncherUnderTest, launcherContract } from "../../../src/testing/index.js";

/** A module that does something wrong as what a launcher runs. */
function flawed(plugin: HostedModule, flaw: (running: RunningModule) => Partial<RunningModule>): HostedModule {
  const { id, version, declares } = plugin;
  return {
    id,
    version,
    declares,
    async start(environment) {
      const running = await plugin.start(environment);
      const { ended, connect, stop, services } = running;
      return { ended, connect: () => connect(), stop: (graceMs) => stop(graceMs), services, ...flaw(running) };
    },
  };
}

const caseOf = (underTest: LauncherUnderTest, name: LauncherCaseName) => {
  const found = launcherContract(underTest).find((one) => one.name === name);
  if (found === undefined) throw new Error(`there is no case ${name}`);
  return found;
};

test("a launcher that leaves something running is found out", async () => {
  const running = new Set<string>();
  const underTest: LauncherUnderTest = {
    source: ({ plugin }) => {
      running.add(plugin.id);
      return { module: flawed(plugin, () => ({ stop: async () => {} })) };
    },
    leftovers: () => [...running],
  };
  await expect(caseOf(underTest, "removing it twice at once is removing it once").run()).rejects.toThrow(
    "what the launcher has left behind",
  );
});

test("a launcher that keeps the end of a plugin to itself is found out", async () => {
  let crash: () => void = () => {};
  const underTest: LauncherUnderTest = {
    source: ({ plugin }) => ({
      module: flawed(plugin, (running) => {
        crash = () => void running.stop(0);
        return { ended: new Promise(() => {}) };
      }),
    }),
    crash: () => crash(),
    host: { waitMs: 300 },
  };
  const name = "one that crashes while it serves is told with its reason, gets no calls, and leaves nothing";
  await expect(caseOf(underTest, name).run()).rejects.toThrow('no event "health" that fits has come');
});

test("a launcher that tells another reason than the true one is found out", async () => {
  let crash: (reason: Error) => void = () => {};
  const underTest: LauncherUnderTest = {
    source: ({ plugin }) => ({
      module: flawed(plugin, () => ({
        ended: new Promise((_resolve, reject) => {
          crash = reject;
        }),
      })),
    }),
    crash: () => crash(new Error("something")),
  };
  const name = "one that crashes while it serves is told with its reason, gets no calls, and leaves nothing";
  await expect(caseOf(underTest, name).run()).rejects.toThrow(/something/);
});

test("a case that is left out says why in its title", () => {
  const name = "two starts at once are two plugins";
  const underTest: LauncherUnderTest = {
    source: ({ plugin }) => ({ module: plugin }),
    skip: { [name]: "there is one of it in the world" },
  };
  expect(caseOf(underTest, name)).toMatchObject({
    title: `${name} (left out: there is one of it in the world)`,
    skip: "there is one of it in the world",
  });
  expect(launcherContract(underTest).filter(({ skip }) => skip !== undefined)).toHaveLength(1);
});
