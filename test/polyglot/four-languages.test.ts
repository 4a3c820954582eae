import { Platform, type PluginSource } from "connect-plugin-host";
import { servePlugin } from "connect-plugin-host/plugin";
import { expect, onTestFinished, test } from "vitest";
import { type Answer, joinAsCaller } from "./caller.js";
import { goPlugin, pythonPlugin, rustPlugin } from "./program.js";
import { sdkPlugin } from "./sdk-plugin.js";

const inGo = (selfId: string, provides: string): PluginSource => ({
  command: goPlugin("library-plugin"),
  env: { SELF_ID: selfId, PROVIDES: provides },
});
const inPython = (selfId: string, provides: string): PluginSource => ({
  command: "python3",
  args: [pythonPlugin],
  env: { SELF_ID: selfId, PROVIDES: provides },
});
const inRust = (selfId: string, provides: string): PluginSource => ({
  command: rustPlugin(),
  env: { SELF_ID: selfId, PROVIDES: provides },
});

/** The chain TypeScript, Go, Python, Rust at one host. */
async function startChain() {
  const platform = new Platform();
  onTestFinished(() => platform.stop());
  await platform.listen({ port: 0 });
  const url = platform.url ?? "";
  const sdk = await servePlugin(sdkPlugin, { host: "127.0.0.1", port: 0, hostUrl: url, env: {} });
  onTestFinished(() => sdk.stop());
  const rust = await platform.addPlugin(inRust("rust", "rust-echo"));
  const python = await platform.addPlugin(inPython("python", "python-echo"));
  const go = await platform.addPlugin(inGo("go", "go-echo"));
  const caller = await joinAsCaller(url);
  return { platform, rust, python, go, call: () => caller.say("sdk-echo", "go-echo>python-echo>rust-echo>hello") };
}

test("a call goes along a chain in TypeScript, Go, Python and Rust, and back", async () => {
  const { call } = await startChain();
  expect(await call()).toEqual({ status: 200, text: "hello", provider: "sdk>go>python>rust" });
});

test("links of the chain are replaced by others in another language, and no call fails", async () => {
  const { platform, rust, python, go, call } = await startChain();
  const answers: Answer[] = [];
  let isOver = false;
  const callOnAndOn = async (): Promise<void> => {
    while (!isOver) answers.push(await call());
  };
  const callers = Promise.all([callOnAndOn(), callOnAndOn(), callOnAndOn(), callOnAndOn()]);

  await platform.replacePlugin(python.runtimeId, inRust("rust-2", "python-echo"));
  await platform.replacePlugin(rust.runtimeId, inGo("go-2", "rust-echo"));
  await platform.replacePlugin(go.runtimeId, inPython("python-2", "go-echo"));
  expect(await call()).toEqual({ status: 200, text: "hello", provider: "sdk>python-2>rust-2>go-2" });
  isOver = true;
  await callers;

  expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
  const providers = new Set(answers.map(({ provider }) => provider));
  expect(providers).toContain("sdk>go>python>rust");
  expect(providers.size).toBeGreaterThan(2);
}, 60_000);
