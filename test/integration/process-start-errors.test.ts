import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Platform, PluginSpec } from "../../src/index.js";
import { PluginHostError } from "../../src/index.js";
import { membersOf, probe, startPlatform } from "../support/process-plugins.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "process-plugins-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function file(name: string, content: string | Buffer, mode = 0o755): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  await chmod(path, mode);
  return path;
}

/** The error with which adding fails; nothing may be left then. */
async function failure(platform: Platform, spec: PluginSpec): Promise<PluginHostError> {
  const pids = new Set<number>();
  platform.on("output", ({ pid }) => pid !== undefined && pids.add(pid));
  const error = await platform.addPlugin(spec).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof PluginHostError)) throw new Error("adding it should have failed");
  if (typeof error.details.pid === "number") pids.add(error.details.pid);
  expect(await membersOf([...pids])).toEqual([]);
  expect(platform.plugins()).toEqual([]);
  return error;
}

test("a program that is not there: COMMAND_NOT_FOUND with the path, or with the PATH that was searched", async () => {
  const platform = await startPlatform();
  const byPath = await failure(platform, { command: "./no-such-plugin", cwd: folder });
  expect(byPath).toMatchObject({ code: "COMMAND_NOT_FOUND", step: "describe" });
  expect(byPath.message).toContain(join(folder, "no-such-plugin"));
  const byName = await failure(platform, { command: "no-such-plugin", env: { PATH: folder } });
  expect(byName).toMatchObject({ code: "COMMAND_NOT_FOUND", step: "describe" });
  expect(byName.message).toContain(`PATH is ${folder}`);
  const asOneLine = await failure(platform, { command: "node plugin.mjs" });
  expect(asOneLine.message).toContain("what stands behind its name goes into args");
});

test("a program that may not be executed: COMMAND_NOT_EXECUTABLE with what to do", async () => {
  const platform = await startPlatform();
  const error = await failure(platform, { command: await file("plain.sh", "#!/bin/sh\n", 0o644) });
  expect(error).toMatchObject({ code: "COMMAND_NOT_EXECUTABLE", step: "describe" });
  expect(error.message).toContain("chmod +x");
});

test("a program for another machine: COMMAND_WRONG_ARCHITECTURE with both machines", async () => {
  const platform = await startPlatform();
  const elf = Buffer.alloc(64);
  elf.write("7f454c46020101", "hex");
  elf.writeUInt16LE(2, 16);
  elf.writeUInt16LE(process.arch === "s390x" ? 62 : 22, 18);
  const error = await failure(platform, { command: await file("other-machine", elf) });
  expect(error).toMatchObject({ code: "COMMAND_WRONG_ARCHITECTURE", step: "describe" });
  expect(error.message).toContain(process.arch);
});

test("a program that exits at once: PLUGIN_EXITED with exit code and last lines of both streams", async () => {
  const platform = await startPlatform();
  const error = await failure(platform, probe(["--exit"]));
  expect(error).toMatchObject({ code: "PLUGIN_EXITED", step: "describe" });
  expect(error.details).toMatchObject({ exitCode: 3, signal: undefined });
  expect(error.details.output).toEqual(expect.arrayContaining(["a line on stdout", "cannot open the database"]));
  expect(error.message).toContain("exited with code 3");
  expect(error.message).toContain("cannot open the database");
});

test("a program that is killed by a signal: PLUGIN_CRASHED with the signal", async () => {
  const platform = await startPlatform();
  const error = await failure(platform, { command: await file("killed.sh", "#!/bin/sh\nkill -SEGV $$\n") });
  expect(error).toMatchObject({ code: "PLUGIN_CRASHED", details: { exitCode: undefined, signal: "SIGSEGV" } });
});

test("a program that hangs: PLUGIN_NOT_LISTENING with what it wrote and where it should listen", async () => {
  const platform = await startPlatform();
  const error = await failure(platform, { ...probe(["--hang"]), limits: { describeMs: 800 } });
  expect(error).toMatchObject({ code: "PLUGIN_NOT_LISTENING", step: "describe" });
  expect(error.details.output).toEqual(["waiting for something that never comes"]);
  expect(error.message).toMatch(/must listen on http:\/\/127\.0\.0\.1:\d+ \(PORT and HOSTNAME\)/);
});

test("a program that listens and never answers: STEP_TIMEOUT", async () => {
  const platform = await startPlatform();
  const error = await failure(platform, { ...probe(["--mute"]), limits: { describeMs: 800 } });
  expect(error).toMatchObject({ code: "STEP_TIMEOUT", step: "describe" });
});

test("a program that is no plugin: PLUGIN_PROTOCOL with what it wrote", async () => {
  const platform = await startPlatform();
  const error = await failure(platform, { ...probe(["--not-a-plugin"]), limits: { connectGraceMs: 50 } });
  expect(error).toMatchObject({ code: "PLUGIN_PROTOCOL", step: "describe" });
  expect(error.message).toContain("listening, told of");
});

test("a program with a wrong token: UNAUTHENTICATED, with how it ended", async () => {
  const platform = await startPlatform();
  const error = await failure(platform, probe(["--register", "--bad-token"]));
  expect(error).toMatchObject({ code: "UNAUTHENTICATED", step: "describe", details: { exitCode: 1 } });
  expect(error.message).toContain("exited with code 1");
});

test("a program for another version of the protocol: APP_VERSION_MISMATCH, with how it ended", async () => {
  const platform = await startPlatform();
  const error = await failure(platform, probe(["--register", "--other-version"]));
  expect(error).toMatchObject({ code: "APP_VERSION_MISMATCH", step: "describe", details: { exitCode: 1 } });
});

test("a missing dependency that is declared fails before the program is started", async () => {
  const platform = await startPlatform();
  const declares = { selfId: "probe", provides: [], requires: [{ type: "store" }] };
  const error = await failure(platform, { ...probe(), declares });
  expect(error).toMatchObject({ code: "DEPENDENCY_MISSING", step: "validate" });
  expect(error.details.pid).toBeUndefined();
});

test("a set in a circle fails with its path before any program is started", async () => {
  const platform = await startPlatform();
  const spec = (selfId: string, needs: string) => ({
    ...probe([], { SELF_ID: selfId, PROVIDES: selfId }),
    declares: { selfId, provides: [{ type: selfId, version: "1.0.0" }], requires: [{ type: needs }] },
  });
  const output: unknown[] = [];
  platform.on("output", (event) => output.push(event));
  await expect(platform.addPlugins([spec("hen", "egg"), spec("egg", "hen")])).rejects.toMatchObject({
    code: "DEPENDENCY_CYCLE",
  });
  expect(output).toEqual([]);
});

test("a program that calls itself otherwise than declared: DECLARATION_MISMATCH", async () => {
  const platform = await startPlatform();
  const error = await failure(platform, { ...probe(), declares: { selfId: "somebody" } });
  expect(error).toMatchObject({ code: "DECLARATION_MISMATCH", step: "describe" });
});

test("a launch that is called off leaves nothing", async () => {
  const platform = await startPlatform();
  const controller = new AbortController();
  platform.on("output", () => controller.abort());
  const error = await failure(platform, { ...probe(["--hang"]), signal: controller.signal });
  expect(error).toMatchObject({ code: "OPERATION_ABORTED" });
});

test("a host without a URL cannot launch: HOST_URL_UNKNOWN", async () => {
  const { Platform } = await import("../../src/index.js");
  const platform = new Platform();
  const error = await failure(platform, probe());
  expect(error).toMatchObject({ code: "HOST_URL_UNKNOWN", step: "describe" });
  await platform.stop();
});

test.each([
  [{ command: "" }, "command"],
  [{ command: 5 }, "command"],
  [{ command: "a\0b" }, "command"],
  [{ command: "a", args: "b" }, "args"],
  [{ command: "a", args: [1] }, "args[0]"],
  [{ command: "a", env: { "A-B": "" } }, "env.A-B"],
  [{ command: "a", env: { PORT: "1" } }, "env.PORT"],
  [{ command: "a", env: { A: 1 } }, "env.A"],
  [{ command: "a", onHostExit: "no" }, "onHostExit"],
  [{ command: "a", cwd: "/no/such/folder" }, "cwd"],
])("%j is refused with the field %s", async (spec, field) => {
  const platform = await startPlatform();
  const error = await failure(platform, spec as unknown as PluginSpec);
  expect(error).toMatchObject({ code: "INVALID_ARGUMENT", field });
});
