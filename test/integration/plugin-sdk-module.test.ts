import { expect, test } from "vitest";
import { deferred } from "../../src/internal/deferred.js";
import { definePlugin } from "../../src/plugin/index.js";
import { echoOnly } from "../support/echo-plugin.js";
import { FakeHost } from "../support/fake-host.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";

let instances = 0;
const echo = definePlugin({
  id: "echo",
  version: "1.0.0",
  provides: { echo: { service: Echo } },
  setup: () => {
    instances += 1;
    return { echo: echoOnly(`instance ${instances}`) };
  },
});

const calling = (answers: (text: string) => void) =>
  definePlugin({
    id: "caller",
    version: "1.0.0",
    requires: { echo: { service: Echo } },
    // Waits for the answer, which can only come when the host has given the identity.
    async setup(plugin) {
      const { provider } = await plugin.client("echo").say({ text: "hi" });
      async function* once() {
        yield { text: "both ways" };
      }
      for await (const { text } of plugin.client("echo").bidiStream(once())) answers(`${provider}: ${text}`);
    },
  });

const environment = (host: FakeHost, signal = new AbortController().signal) => ({
  hostUrl: "http://host.invalid",
  connectHost: () => host.connect(),
  signal,
});

test("a module talks to its host and to other modules over connections in memory alone, even during its setup", async () => {
  await using host = await FakeHost.start();
  const provider = await host.addModule(echo);
  await host.until("ReportHealth");
  const answered = deferred<string>();
  const caller = await host.addModule(calling(answered.resolve));
  expect(await answered.promise).toMatch(/^instance \d+: both ways$/);
  expect([...host.registrations.values()][0]?.metadata).toEqual({});
  await caller.stop(1_000);
  await provider.stop(1_000);
  await Promise.all([caller.ended, provider.ended]);
  await host.untilTrue(() => host.openWatches === 0);
  while (host.openConnections > 0) await new Promise(setImmediate);
});

test("each start of a definition is an instance of its own", async () => {
  await using host = await FakeHost.start();
  const before = instances;
  const [one, two] = await Promise.all([host.addModule(echo), host.addModule(echo)]);
  expect(instances).toBe(before + 2);
  await one.stop(0);
  expect(await Promise.race([two.ended.then(() => "ended"), new Promise(setImmediate).then(() => "runs")])).toBe(
    "runs",
  );
  await two.stop(0);
});

test("a module whose setup fails does not start, and says why", async () => {
  await using host = await FakeHost.start();
  const broken = definePlugin({
    id: "broken",
    version: "1.0.0",
    setup: async () => {
      await new Promise(setImmediate);
      throw new Error("no database");
    },
  });
  await expect(broken.start(environment(host))).rejects.toMatchObject({
    code: "PLUGIN_FAILED",
    message: /no database/,
  });
});

test("a module that fails after its start ends with the error", async () => {
  await using host = await FakeHost.start();
  const broken = definePlugin({
    id: "late",
    version: "1.0.0",
    requires: { echo: { service: Echo } },
    setup: async (plugin) => {
      await plugin.client("echo").say({ text: "nobody there" });
    },
  });
  const running = await host.addModule(broken);
  await expect(running.ended).rejects.toMatchObject({ code: "PLUGIN_FAILED" });
});

test("a start that the host gives up ends at once, however long the setup takes", async () => {
  await using host = await FakeHost.start();
  const asked = deferred();
  const slow = definePlugin({
    id: "slow",
    version: "1.0.0",
    setup: () => {
      asked.resolve();
      return new Promise<void>(() => {});
    },
  });
  const controller = new AbortController();
  const start = slow.start(environment(host, controller.signal));
  const refused = expect(start).rejects.toMatchObject({ code: "OPERATION_ABORTED" });
  await asked.promise;
  controller.abort();
  await refused;
  await expect(slow.start(environment(host, controller.signal))).rejects.toMatchObject({ code: "OPERATION_ABORTED" });
});
