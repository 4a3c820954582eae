import { readFileSync } from "node:fs";
import { beforeAll, expect, test } from "vitest";
import type { Platform, PluginView } from "../../src/index.js";
import { hostSecretOf } from "../../src/model/host-secret.js";
import { builtExamples } from "../support/built-examples.js";
import { callProbe, probe, servedModule, startPlatform } from "../support/process-plugins.js";
import { workerModule } from "../support/workers.js";

beforeAll(() => void builtExamples());

const quick = { firstDelayMs: 20, maxDelayMs: 20 };

/** Kills the plugin's process and resolves with its view once it serves again, or is given up. */
function killed(platform: Platform, { pid }: PluginView, kind: "running" | "quarantined" = "running") {
  const over = new Promise<PluginView>((resolve) => {
    const off = platform.on("supervision", ({ supervision, runtimeId }) => {
      if (supervision.kind !== kind) return;
      off();
      resolve(platform.plugin(runtimeId));
    });
  });
  process.kill(pid ?? 0, "SIGKILL");
  return over;
}

interface Proof {
  readonly runtimeId: string;
  readonly token: string;
}

async function post(url: string | undefined, path: string, body: object, headers: Readonly<Record<string, string>>) {
  const answer = await fetch(`${url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  const { code } = (await answer.json()) as { readonly code?: string };
  return code ?? answer.status;
}

const headersOf = ({ runtimeId, token }: Proof) => ({
  "x-plugin-runtime-id": runtimeId,
  authorization: `Bearer ${token}`,
});

/** Everything that a plugin may say to the host about itself, by this incarnation. */
const sayings = (platform: Platform, proof: Proof) => {
  const say = (path: string, body: object) => post(platform.url, path, body, headersOf(proof));
  return {
    health: () =>
      say("/connectplugin.v1.PluginLifecycle/ReportHealth", { state: "HEALTH_STATE_UNHEALTHY", reason: "too late" }),
    service: () =>
      say("/connectplugin.v1.ServiceRegistry/RegisterService", {
        serviceType: "probe",
        version: "9.9.9",
        endpointPath: "/late/",
      }),
    call: () => say("/services/probe/any/test.v1.Probe/Look", {}),
  };
};

/** What a launched program was given to know its host by, which only it and the host have. */
const nonceOf = ({ pid }: PluginView): string => {
  const variables = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  return /\/_launch\/([^/]+)/.exec(variables.find((variable) => variable.startsWith("HOST_URL=")) ?? "")?.[1] ?? "";
};

const stateOf = (platform: Platform) => ({
  plugins: platform.plugins().map(({ runtimeId, health, reason, supervision }) => {
    return { runtimeId, health, reason, kind: supervision.kind };
  }),
  services: platform.registry.services().map(({ type, providers }) => ({
    type,
    providers: providers.map(({ provider: { plugin, registration } }) => `${plugin.runtimeId} ${registration.version}`),
  })),
});

test("what an incarnation says after its end is refused, and changes nothing of the next one", async () => {
  const platform = await startPlatform({ supervision: quick });
  const first = await platform.addPlugin(probe(["--register"]));
  const token = (await callProbe(first.endpointUrl)).tokens.at(-1) ?? "";
  const old = sayings(platform, { runtimeId: first.runtimeId, token });
  // As long as it lives, its word counts.
  expect(await old.call()).toBe(200);
  const second = await killed(platform, first);
  const before = stateOf(platform);
  for (const say of Object.values(old)) expect(await say()).toBe("unauthenticated");
  // Nor does it help to come under the new name.
  const disguised = sayings(platform, { runtimeId: second.runtimeId, token });
  for (const say of Object.values(disguised)) expect(await say()).toBe("unauthenticated");
  expect(stateOf(platform)).toEqual(before);
  expect(before.plugins).toEqual([{ runtimeId: second.runtimeId, health: "healthy", reason: "", kind: "running" }]);
});

test("what it says while it is down or in quarantine is refused too, and it stays there", async () => {
  const platform = await startPlatform({ supervision: { ...quick, maxCrashes: 1 } });
  const first = await platform.addPlugin(probe(["--register"]));
  const token = (await callProbe(first.endpointUrl)).tokens.at(-1) ?? "";
  await killed(platform, first, "quarantined");
  const before = stateOf(platform);
  for (const say of Object.values(sayings(platform, { runtimeId: first.runtimeId, token }))) {
    expect(await say()).toBe("unauthenticated");
  }
  expect(stateOf(platform)).toEqual(before);
  expect(before.plugins).toMatchObject([{ health: "unhealthy", kind: "quarantined" }]);
  const released = await platform.releasePlugin(first.runtimeId);
  expect((await callProbe(released.endpointUrl)).tokens).not.toContain(token);
});

test("the URL of a launch that is over is worth no more than that of the host: it never stands for the plugin again", async () => {
  const hello = {
    coreProtocolVersion: 1,
    appProtocolVersion: 1,
    magicCookieKey: "CONNECT_PLUGIN",
    magicCookieValue: "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e",
    selfId: "probe",
    selfVersion: "1.0.0",
  };
  const platform = await startPlatform({ supervision: quick });
  const first = await platform.addPlugin(probe(["--register"]));
  const nonce = nonceOf(first);
  expect(nonce).not.toBe("");
  const second = await killed(platform, first);
  expect(nonceOf(second)).not.toBe(nonce);
  const before = stateOf(platform);
  const shakeHands = async (url: string): Promise<Proof> => {
    const init = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(hello) };
    const answer = await fetch(`${url}/connectplugin.v1.HandshakeService/Handshake`, init);
    const { runtimeId, runtimeToken } = (await answer.json()) as Record<string, string>;
    return { runtimeId: runtimeId ?? "", token: runtimeToken ?? "" };
  };
  const stranger = await shakeHands(`${platform.url}/_launch/${nonce}`);
  expect([first.runtimeId, second.runtimeId]).not.toContain(stranger.runtimeId);
  // As for any program of this machine; it cannot say a thing of the plugin.
  expect(await sayings(platform, stranger).health()).toBe(200);
  expect(platform.plugin(first.runtimeId)).toMatchObject({ runtimeId: second.runtimeId, health: "healthy" });
  expect(stateOf(platform).services).toEqual(before.services);
  // Under its own launch it is still itself.
  expect((await shakeHands(`${platform.url}/_launch/${nonceOf(second)}`)).runtimeId).toBe(second.runtimeId);
});

test("the next incarnation takes nothing from who knows the secret of the one before", async () => {
  const platform = await startPlatform({
    supervision: quick,
    ingress: [{ prefix: "/open", type: "probe", access: "open" }],
  });
  const first = await platform.addPlugin(servedModule(workerModule("probe"), { listen: "always", link: "off" }));
  const firstSecret = hostSecretOf(nonceOf(first));
  const look = (plugin: PluginView, secret: string) =>
    post(plugin.endpointUrl, "/probe/look", {}, { "x-plugin-host-secret": secret });
  expect(await look(first, firstSecret)).toBe(200);
  const second = await killed(platform, first);
  expect(await look(second, firstSecret)).toBe("permission_denied");
  const stop = (secret: string) =>
    post(second.endpointUrl, "/connectplugin.v1.PluginControl/Shutdown", {}, { "x-plugin-host-secret": secret });
  expect(await stop(firstSecret)).toBe("permission_denied");
  // The host has the new one, and gets through.
  expect((await fetch(`${platform.url}/open/look`)).status).toBe(200);
  expect(await look(second, hostSecretOf(nonceOf(second)))).toBe(200);
});
