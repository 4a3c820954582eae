import { expect, test } from "vitest";
import { membersOf, probe, scriptedProbe, startPlatform, untilGroupsEnd } from "../support/process-plugins.js";

test("a program that is killed is out of discovery within 250 ms, and its callers are told why", async () => {
  const platform = await startPlatform();
  const plugin = await platform.addPlugin(probe());
  const gone = new Promise<number>((resolve) => {
    platform.on("health", ({ health }) => health.state === "unhealthy" && resolve(performance.now()));
  });
  const killedAt = performance.now();
  process.kill(plugin.pid ?? 0, "SIGKILL");
  expect((await gone) - killedAt).toBeLessThan(250);
  expect(platform.registry.find("probe").kind).not.toBe("found");
  expect(platform.plugin(plugin.runtimeId)).toMatchObject({
    health: "unhealthy",
    healthCause: "exit",
    reason: expect.stringMatching(/^its process was ended by SIGKILL; it is started again at /),
    supervision: { kind: "restarting", attempt: 1 },
  });
});

test("a caller with an identity gets unavailable with the reason of the end", async () => {
  const platform = await startPlatform();
  const provider = await platform.addPlugin(probe([], { SELF_ID: "provider" }));
  const gone = new Promise((resolve) => {
    platform.on("health", ({ health }) => health.state === "unhealthy" && resolve(undefined));
  });
  process.kill(provider.pid ?? 0, "SIGKILL");
  await gone;
  const handshake = await fetch(`${platform.url}/connectplugin.v1.HandshakeService/Handshake`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      coreProtocolVersion: 1,
      appProtocolVersion: 1,
      magicCookieKey: "CONNECT_PLUGIN",
      magicCookieValue: "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e",
      selfId: "caller",
    }),
  });
  const { runtimeId, runtimeToken } = (await handshake.json()) as { runtimeId: string; runtimeToken: string };
  const answer = await fetch(`${platform.url}/services/probe/${provider.runtimeId}/Look`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "x-plugin-runtime-id": runtimeId,
      authorization: `Bearer ${runtimeToken}`,
    },
    body: "{}",
  });
  expect(answer.status).toBe(503);
  const body = (await answer.json()) as { code: string; message: string };
  expect(body.code).toBe("unavailable");
  expect(body.message).toContain("its process was ended by SIGKILL");
});

test("when the program ends, what is left of its group ends with it", async () => {
  const platform = await startPlatform();
  const plugin = await platform.addPlugin(probe(["--grandchild"]));
  const group = [plugin.pid ?? 0];
  expect((await membersOf(group)).length).toBe(3);
  process.kill(plugin.pid ?? 0, "SIGKILL");
  await untilGroupsEnd(group, 1_000);
});

test("the child of a script ends with the script", async () => {
  const platform = await startPlatform();
  const plugin = await platform.addPlugin(scriptedProbe());
  process.kill(plugin.pid ?? 0, "SIGKILL");
  await untilGroupsEnd([plugin.pid ?? 0], 1_000);
});

test("a program that has ended can be removed, and added again", async () => {
  const platform = await startPlatform();
  const first = await platform.addPlugin(probe());
  process.kill(first.pid ?? 0, "SIGKILL");
  await platform.removePlugin(first.runtimeId, { limits: { graceMs: 0 } });
  const second = await platform.addPlugin(probe());
  expect(second.runtimeId).not.toBe(first.runtimeId);
});

test("a program is replaced by another without a gap, and the first one ends", async () => {
  const platform = await startPlatform();
  const first = await platform.addPlugin(probe());
  const second = await platform.replacePlugin(first.runtimeId, probe(["--register"]));
  expect(second.pid).not.toBe(first.pid);
  expect(await membersOf([first.pid ?? 0])).toEqual([]);
  expect(platform.plugins().map(({ runtimeId }) => runtimeId)).toEqual([second.runtimeId]);
});
