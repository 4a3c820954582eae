import { expect, test } from "vitest";
import type { OutputEvent } from "../../src/index.js";
import { callProbe, membersOf, probe, scriptedProbe, startPlatform } from "../support/process-plugins.js";

test("a program is started on a port of the host's choice, described, and routed to", async () => {
  const platform = await startPlatform();
  const plugin = await platform.addPlugin(probe());
  expect(plugin).toMatchObject({ selfId: "probe", origin: "process", health: "healthy", pid: expect.any(Number) });
  expect(plugin.provides).toEqual([{ type: "probe", version: "1.0.0", path: "/test.v1.Probe/" }]);
  const { identities, handshakes } = await callProbe(plugin.endpointUrl);
  expect(identities).toEqual([plugin.runtimeId]);
  expect(handshakes).toEqual([]);
});

test("a program gets the variables of the wire contract and those of its spec, and no others", async () => {
  const platform = await startPlatform();
  process.env.SECRET_OF_THE_HOST = "not for plugins";
  const plugin = await platform.addPlugin({ ...probe([], { COLOUR: "green" }), cwd: "/" });
  delete process.env.SECRET_OF_THE_HOST;
  const { environment, cwd, args } = await callProbe(plugin.endpointUrl);
  const { PATH, HOME, LANG, TZ } = process.env;
  const passed = Object.fromEntries(
    Object.entries({ PATH, HOME, LANG, TZ }).filter(([, value]) => value !== undefined),
  );
  expect(environment).toEqual({
    ...passed,
    COLOUR: "green",
    PORT: new URL(plugin.endpointUrl ?? "").port,
    HOSTNAME: "127.0.0.1",
    HOST_FEATURES: expect.stringMatching(/^[\w-]+(,[\w-]+)*$/),
    HOST_URL: expect.stringMatching(new RegExp(`^${platform.url}/_launch/[\\w-]{43}$`)),
  });
  expect(cwd).toBe("/");
  expect(args).toEqual([]);
});

test("a program gets no open file of the host's beside its output, which is captured", async () => {
  const platform = await startPlatform();
  const plugin = await platform.addPlugin(probe());
  const { descriptors } = await callProbe(plugin.endpointUrl);
  const standard = descriptors.filter((entry) => /^[0-3] /.test(entry));
  expect(standard[0]).toBe("0 /dev/null");
  expect(standard.slice(1, 3)).toEqual([expect.stringMatching(/^1 socket:/), expect.stringMatching(/^2 socket:/)]);
  // The guard's pipe was number 3 until the program took the shell's place.
  expect(standard[3] ?? "").not.toContain("socket:");
});

test("a program that registers by itself keeps the identity of its launch, however often it shakes hands", async () => {
  const platform = await startPlatform();
  const plugin = await platform.addPlugin(probe(["--register"]));
  expect(platform.plugins()).toHaveLength(1);
  const { handshakes } = await callProbe(plugin.endpointUrl, "ShakeHands");
  expect(handshakes).toEqual([plugin.runtimeId, plugin.runtimeId]);
  const { identities } = await callProbe(plugin.endpointUrl);
  expect(identities).toEqual([]);
  expect(platform.plugins()).toHaveLength(1);
});

test("a program without PluginIdentity is what it registered", async () => {
  const platform = await startPlatform();
  const plugin = await platform.addPlugin(probe(["--register", "--no-identity"]));
  expect(plugin).toMatchObject({ selfId: "probe", selfVersion: "1.0.0", origin: "process" });
  expect(plugin.provides).toEqual([{ type: "probe", version: "1.0.0", path: "/test.v1.Probe/" }]);
});

test("a script that runs its program as a child is a plugin as well", async () => {
  const platform = await startPlatform();
  const plugin = await platform.addPlugin(scriptedProbe());
  expect(plugin.health).toBe("healthy");
});

test("a megabyte without an end of line does not keep a program from starting", async () => {
  const platform = await startPlatform();
  const lines: OutputEvent[] = [];
  platform.on("output", (event) => lines.push(event));
  await platform.addPlugin(probe(["--flood"]));
  const [first] = lines;
  expect(first).toMatchObject({ stream: "stdout", truncated: true, pid: expect.any(Number) });
  expect(first?.line).toHaveLength(8_192);
});

test("output comes line by line under the plugin's name, without the launch's secret", async () => {
  const platform = await startPlatform();
  const lines: OutputEvent[] = [];
  const seen = new Promise<void>((resolve) => {
    platform.on("output", (event) => {
      lines.push(event);
      if (event.line === "shutdown asked for") resolve();
    });
  });
  const plugin = await platform.addPlugin(probe([], { SELF_ID: "talker" }));
  await platform.removePlugin(plugin.runtimeId);
  await seen;
  const listening = lines.find(({ line }) => line.startsWith("listening"));
  expect(listening?.line).toBe(`listening, told of ${platform.url}/_launch/[redacted]`);
  expect(lines.at(-1)).toMatchObject({ selfId: "talker", runtimeId: plugin.runtimeId, stream: "stdout" });
});

test("removing a program ends all of its group, also what ignores SIGTERM", async () => {
  const platform = await startPlatform();
  const plugin = await platform.addPlugin(probe(["--grandchild", "--ignore-term"]));
  const group = [plugin.pid ?? 0];
  expect((await membersOf(group)).length).toBe(3); // the program, its child, the guard
  await platform.removePlugin(plugin.runtimeId, { limits: { shutdownMs: 400 } });
  expect(await membersOf(group)).toEqual([]);
});

test("stopping the host ends its programs inside the budget, also one that ignores everything", async () => {
  const platform = await startPlatform({ stopBudgetMs: 1_500 });
  const polite = await platform.addPlugin(probe([], { SELF_ID: "polite" }));
  const deaf = await platform.addPlugin(probe(["--ignore-term", "--ignore-shutdown"], { SELF_ID: "deaf" }));
  const groups = [polite.pid ?? 0, deaf.pid ?? 0];
  const asked: unknown[] = [];
  platform.on("output", ({ selfId, line }) => line === "shutdown asked for" && asked.push(selfId));
  const startedAt = performance.now();
  await platform.stop();
  expect(performance.now() - startedAt).toBeLessThan(2_000);
  expect(await membersOf(groups)).toEqual([]);
  expect(asked).toEqual(["polite"]);
});

test("a launch's secret is worth nothing once its program has ended", async () => {
  const platform = await startPlatform();
  const plugin = await platform.addPlugin(probe());
  const { environment } = await callProbe(plugin.endpointUrl);
  const shakeHands = (selfId: string) =>
    fetch(`${environment.HOST_URL}/connectplugin.v1.HandshakeService/Handshake`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        coreProtocolVersion: 1,
        appProtocolVersion: 1,
        magicCookieKey: "CONNECT_PLUGIN",
        magicCookieValue: "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e",
        selfId,
      }),
    }).then((answer) => answer.json() as Promise<{ runtimeId?: string; code?: string }>);
  expect(await shakeHands("probe")).toMatchObject({ runtimeId: plugin.runtimeId });
  expect(await shakeHands("somebody-else")).toMatchObject({ code: "permission_denied" });
  await platform.removePlugin(plugin.runtimeId);
  const later = await shakeHands("probe");
  expect(later.runtimeId).not.toBe(plugin.runtimeId);
  expect(platform.plugins()).toEqual([]);
});
