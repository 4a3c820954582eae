import { Platform } from "connect-plugin-host";
import { type ServedPlugin, servePlugin } from "connect-plugin-host/plugin";
import { describe, expect, onTestFinished, test } from "vitest";
import { joinAsCaller } from "./caller.js";
import {
  freePort,
  runGoLibraryPluginToItsEnd,
  startGoLibraryPlugin,
  startGoServePlugin,
  startPythonPlugin,
} from "./program.js";
import { sdkPlugin } from "./sdk-plugin.js";

async function startHost(): Promise<{ readonly platform: Platform; readonly url: string }> {
  const platform = new Platform();
  onTestFinished(() => platform.stop());
  await platform.listen({ host: "127.0.0.1", port: 0 });
  if (platform.url === undefined) throw new Error("a host that listens has a URL");
  return { platform, url: platform.url };
}

/** Self-registering if there is a URL of a host, otherwise managed. */
async function startSdkPlugin(hostUrl: string): Promise<ServedPlugin> {
  const plugin = await servePlugin(sdkPlugin, { host: "127.0.0.1", port: 0, hostUrl, env: {} });
  onTestFinished(() => plugin.stop());
  return plugin;
}

describe("self-registering plugins", () => {
  test("in three languages call each other through the host, in every direction", async () => {
    const { url } = await startHost();
    await startPythonPlugin({ selfId: "python", hostUrl: url });
    await startGoLibraryPlugin({ selfId: "go", dependsOn: "python-echo", hostUrl: url, port: await freePort() });
    await startSdkPlugin(url);
    const caller = await joinAsCaller(url);

    const answers = await Promise.all([
      caller.say("go-echo", "python-echo>sdk-echo>go-echo>hello"),
      caller.say("python-echo", "sdk-echo>go-echo>python-echo>hello"),
      caller.say("sdk-echo", "go-echo>python-echo>sdk-echo>hello"),
    ]);

    expect(answers).toEqual([
      { status: 200, text: "hello", provider: "go>python>sdk>go" },
      { status: 200, text: "hello", provider: "python>sdk>go>python" },
      { status: 200, text: "hello", provider: "sdk>go>python>sdk" },
    ]);
  });

  test("of the Go library may register before their port is open", async () => {
    const { url } = await startHost();
    const caller = await joinAsCaller(url);

    const [plugin, answer] = await Promise.all([
      startGoLibraryPlugin({ selfId: "go", hostUrl: url, port: await freePort() }),
      // The first call may come while the plugin is known and its port is still closed, or before it is known at all.
      untilOffered(() => caller.say("go-echo", "early")),
    ]);

    expect(answer).toEqual({ status: 200, text: "early", provider: "go" });
    expect(plugin.output()).toMatch(/^registered reg-[0-9a-f]+$/m);
  });

  test("of the Go library end with 1 when their dependency is not there, and the host serves the others", async () => {
    const { url } = await startHost();
    await startPythonPlugin({ selfId: "python", hostUrl: url });

    const { exitCode, output } = await runGoLibraryPluginToItsEnd({
      selfId: "go",
      dependsOn: "nobody-has-this",
      hostUrl: url,
      port: await freePort(),
    });

    expect(exitCode).toBe(1);
    expect(output).toContain("discovery: not_found");
    const caller = await joinAsCaller(url);
    expect(await caller.say("python-echo", "still here")).toEqual({
      status: 200,
      text: "still here",
      provider: "python",
    });
  });

  test("end cleanly on SIGTERM, in each language", async () => {
    const { url } = await startHost();
    const python = await startPythonPlugin({ selfId: "python", hostUrl: url });
    const go = await startGoLibraryPlugin({ selfId: "go", hostUrl: url, port: await freePort() });

    expect(await Promise.all([python.stop(), go.stop()])).toEqual([0, 0]);
  });
});

describe("managed plugins", () => {
  test("in three languages are told who they are and called through the host", async () => {
    const { platform, url } = await startHost();
    const go = await startGoLibraryPlugin({ selfId: "go" });
    const python = await startPythonPlugin({ selfId: "python", dependsOn: "go-echo" });
    const sdk = await startSdkPlugin("");

    const added = await platform.addPlugin({ endpoint: go.url });
    await platform.addPlugin({ endpoint: python.url });
    await platform.addPlugin({ endpoint: sdk.url });
    const caller = await joinAsCaller(url);

    expect(go.output()).toContain(`identity ${added.runtimeId}, token `);
    expect(await caller.say("python-echo", "go-echo>hello")).toEqual({
      status: 200,
      text: "hello",
      provider: "python>go",
    });
    expect(await caller.say("sdk-echo", "python-echo>go-echo>hello")).toEqual({
      status: 200,
      text: "hello",
      provider: "sdk>python>go",
    });
  });

  test("are held to what they say that they require, and told what is missing", async () => {
    const { platform, url } = await startHost();
    const go = await startGoLibraryPlugin({ selfId: "go" });
    const python = await startPythonPlugin({ selfId: "python", dependsOn: "go-echo" });
    for (const plugin of [go, python]) await platform.addPlugin({ endpoint: plugin.url });
    const caller = await joinAsCaller(url);

    expect(await caller.say("python-echo", "python-echo>hello")).toMatchObject({
      code: "permission_denied",
      message: expect.stringMatching(/^python-\w+ does not declare that it requires "python-echo"; add /),
    });
    expect(await caller.say("python-echo", "go-echo>hello")).toMatchObject({ provider: "python>go" });
  });

  test("of the Go library answer for themselves only, and their errors reach the caller as they are", async () => {
    const { platform, url } = await startHost();
    const go = await startGoLibraryPlugin({ selfId: "go" });
    await platform.addPlugin({ endpoint: go.url });
    const caller = await joinAsCaller(url);

    expect(await caller.say("go-echo", "python-echo>hello")).toMatchObject({
      status: 400,
      code: "failed_precondition",
      message: "go cannot call python-echo: it has no host",
    });
  });

  test("shut down when they are removed", async () => {
    const { platform, url } = await startHost();
    const go = await startGoLibraryPlugin({ selfId: "go" });
    const python = await startPythonPlugin({ selfId: "python" });
    const first = await platform.addPlugin({ endpoint: go.url });
    const second = await platform.addPlugin({ endpoint: python.url });
    const caller = await joinAsCaller(url);

    await platform.removePlugin(first.runtimeId);
    await platform.removePlugin(second.runtimeId);

    expect(await caller.say("go-echo", "anybody?")).toMatchObject({ status: 404, code: "not_found" });
    // Both were asked over the wire and have ended by themselves, so no signal changes their exit code.
    expect(await Promise.all([go.ended, python.ended])).toEqual([0, 0]);
  });
});

describe("a plugin without PluginIdentity", () => {
  test("is greeted as a client does, and its services come from its handshake", async () => {
    const { platform, url } = await startHost();
    const served = await startGoServePlugin({ selfId: "served" });

    await platform.addPlugin({ endpoint: served.url });
    const caller = await joinAsCaller(url);

    expect(await caller.say("served-echo", "hello")).toEqual({
      status: 200,
      text: "hello",
      provider: "go-serve-plugin",
    });
  });

  test("is not added when the host's own code expects other services of it", async () => {
    const { platform } = await startHost();
    const served = await startGoServePlugin({ selfId: "served" });
    const declares = {
      selfId: "served",
      selfVersion: "2.0.0",
      provides: [{ type: "other-echo", version: "2.0.0", path: "/echo.v1.Echo/" }],
    };

    await expect(platform.addPlugin({ endpoint: served.url, declares })).rejects.toMatchObject({
      code: "DECLARATION_MISMATCH",
    });
    expect(platform.plugins()).toEqual([]);
  });
});

/**
 * Asks again while the host does not know the service type yet, or knows it and has no good word of its health yet. Both
 * are answers that a caller is told to try again after; a connection that is refused is not among them.
 */
async function untilOffered<T extends { readonly status: number }>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (answer.status !== 404 && answer.status !== 503) return answer;
    await new Promise(setImmediate);
  }
}
