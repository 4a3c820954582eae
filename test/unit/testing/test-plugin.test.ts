import { Code } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { definePlugin } from "../../../src/plugin/index.js";
import { stub, type TestPluginWay, testPlugin } from "../../../src/testing/index.js";
import { Echo } from "../../support/gen/echo/v1/echo_pb.js";

/** Asks its dependency, and is degraded while that is away. */
const relay = definePlugin({
  id: "relay",
  version: "1.0.0",
  requires: { echo: { service: Echo, minVersion: "^2.1" }, spare: { service: Echo, required: false } },
  provides: { relay: { service: Echo } },
  setup(plugin) {
    const echo = plugin.client("echo");
    plugin.onDependency("echo", ({ state }) =>
      state === "unavailable"
        ? plugin.reportHealth("degraded", "nobody to ask", ["echo"])
        : plugin.reportHealth("healthy"),
    );
    return {
      relay: { say: async ({ text }: { text: string }) => ({ text: `<${(await echo.say({ text })).text}>` }) } as never,
    };
  },
});

test.each<TestPluginWay>(["module", "endpoint", "self-registering"])(
  "as %s, a plugin runs among stubs: it calls them, and its own services can be called",
  async (as) => {
    const echo = stub(Echo, { say: ({ text }) => ({ text: text.toUpperCase() }) });
    await using plugin = await testPlugin(relay, { dependencies: { echo }, as });
    expect(await plugin.client("relay").say({ text: "hi" })).toMatchObject({ text: "<HI>" });
    expect(echo.calls("say")[0]).toMatchObject({ request: { text: "hi" }, callerId: plugin.view.runtimeId });
    expect(plugin.context.runtimeId).toBe(plugin.view.runtimeId);
    echo.fail("say", Code.ResourceExhausted, "enough");
    await expect(plugin.client("relay").say({})).rejects.toMatchObject({ rawMessage: "enough" });
  },
);

test("a dependency goes and comes back, and the plugin's health follows", async () => {
  const echo = stub(Echo, { say: { text: "hi" } });
  await using plugin = await testPlugin(relay, { dependencies: { echo } });
  await plugin.lose("echo");
  expect(await plugin.untilHealth("degraded")).toMatchObject({
    reason: expect.stringContaining("nobody to ask"),
  });
  await plugin.restore("echo");
  await plugin.untilHealth("healthy");
  expect(await plugin.client("relay").say({})).toMatchObject({ text: "<hi>" });
});

test("a stub has the version that the plugin asks for, unless it has one of its own", async () => {
  await using plugin = await testPlugin(relay, { dependencies: { echo: stub(Echo) } });
  expect(plugin.host.find("echo-stub")?.provides[0]?.version).toBe("2.1.0");
  const old = testPlugin(relay, { dependencies: { echo: stub(Echo, {}, { version: "1.9.0" }) } });
  await expect(old).rejects.toMatchObject({ code: "DEPENDENCY_MISSING" });
});

test("a required dependency without a stub, and a stub without a dependency, are named", async () => {
  await expect(testPlugin(relay)).rejects.toThrow("relay requires echo: give a stub in `dependencies.echo`");
  const dependencies = { echo: stub(Echo), eco: stub(Echo) };
  await expect(testPlugin(relay, { dependencies })).rejects.toThrow(
    "relay has no dependency eco; it requires echo, spare",
  );
});

test("what a plugin's own setup throws is why it cannot be tested", async () => {
  const broken = definePlugin({
    id: "broken",
    version: "1.0.0",
    setup() {
      throw new Error("no database");
    },
  });
  await expect(testPlugin(broken)).rejects.toMatchObject({
    code: "PLUGIN_FAILED",
    message: expect.stringContaining("no database"),
  });
});

test("its services, its dependencies and its context have the types of the definition", async () => {
  await using plugin = await testPlugin(relay, { dependencies: { echo: stub(Echo) } });
  // @ts-expect-error it provides no such service
  expect(() => plugin.client("rely")).toThrow("relay provides no described service rely");
  // @ts-expect-error it requires no such service
  await expect(plugin.lose("eko")).rejects.toThrow("there is no stub for eko");
  // @ts-expect-error it requires no such service
  expect(() => plugin.context.client("eko")).toThrow("must be one of the keys of `requires`");
});
