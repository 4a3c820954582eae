import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { Platform } from "../../src/index.js";
import { servePlugin } from "../../src/plugin/index.js";
import { builtExamples } from "../support/built-examples.js";
import { servedModule, startPlatform } from "../support/process-plugins.js";
import { type SteadyReport, steadyCaller } from "../support/worker-plugins/steady.js";
import { workerModule } from "../support/workers.js";

beforeAll(() => void builtExamples());

const retry = { isRepeatable: () => true, firstDelayMs: 20 };

/** The same caller in each way to run it. */
const ways: Readonly<Record<string, (platform: Platform, retries: boolean) => Promise<unknown>>> = {
  "in the host's process": (platform, retries) =>
    platform.addPlugin({ module: steadyCaller(retries ? { retry } : undefined) }),
  "in a worker thread": (platform, retries) =>
    platform.addPlugin({ worker: workerModule("steady"), env: retries ? { RESILIENCE: "1" } : {} }),
  "in a process, over its link": (platform, retries) =>
    platform.addPlugin(servedModule(workerModule("steady"), {}, retries ? { RESILIENCE: "1" } : {})),
  "that registers itself, over HTTP": async (platform, retries) => {
    const running = await servePlugin(steadyCaller(retries ? { retry } : undefined), {
      env: {},
      hostUrl: platform.url ?? "",
      link: "off",
    });
    onTestFinished(() => running.stop({ graceMs: 0 }));
    await running.registered;
  },
};

const providers = {
  "without a port": {},
  "over HTTP": { listen: "always", link: "off" },
} as const;

async function start() {
  const platform = await startPlatform({
    ingress: [{ prefix: "/steady", type: "steady", access: "open" }],
    supervision: { firstDelayMs: 200, maxDelayMs: 200 },
  });
  const report = async (): Promise<SteadyReport> => {
    const answer = await fetch(`${platform.url}/steady/`);
    if (!answer.ok) throw new Error(await answer.text());
    return (await answer.json()) as SteadyReport;
  };
  return {
    platform,
    report,
    /** Asks until this provider has answered, and adds everything up. */
    async untilAnswered(by: string) {
      const failures: Record<string, number> = {};
      for (;;) {
        const seen = await report();
        for (const [code, count] of Object.entries(seen.failures)) failures[code] = (failures[code] ?? 0) + count;
        if (seen.providers.includes(by)) return { failures };
      }
    },
  };
}

/** Kills a plugin's process, and resolves with its next id once that serves. */
function killed(platform: Platform, pid: number | undefined): Promise<string> {
  const again = new Promise<string>((resolve) => {
    platform.on("supervision", ({ supervision, runtimeId }) => {
      if (supervision.kind === "running") resolve(runtimeId);
    });
  });
  process.kill(pid ?? 0, "SIGKILL");
  return again;
}

describe.each(Object.entries(ways))("the calls of a plugin %s", (_name, add) => {
  test.each(Object.entries(providers))(
    "fail as unavailable while their provider %s is killed and started again, and go on by themselves",
    async (_way, options) => {
      const { platform, report, untilAnswered } = await start();
      const provider = await platform.addPlugin(servedModule(workerModule("probe"), options));
      await add(platform, false);
      await untilAnswered(provider.runtimeId);
      const again = killed(platform, provider.pid);
      const { failures } = await untilAnswered(await again);
      expect(Object.keys(failures)).toEqual(["Unavailable"]);
      // Nothing that was chosen before is chosen again.
      await report();
      await untilAnswered(await again);
      expect((await report()).failures).toEqual({});
    },
  );

  test.each(Object.entries(providers))(
    "do not fail at all with retry, if there is another provider %s",
    async (_way, options) => {
      const { platform, untilAnswered } = await start();
      const probe = servedModule(workerModule("probe"), options);
      const [one, other] = await Promise.all([
        platform.addPlugin({ ...probe, env: { SELF_ID: "one" } }),
        platform.addPlugin({ ...probe, env: { SELF_ID: "other" } }),
      ]);
      await add(platform, true);
      await untilAnswered(one.runtimeId);
      await untilAnswered(other.runtimeId);
      const again = killed(platform, one.pid);
      const meanwhile = await untilAnswered(other.runtimeId);
      const later = await untilAnswered(await again);
      expect({ ...meanwhile.failures, ...later.failures }).toEqual({});
    },
  );
});
