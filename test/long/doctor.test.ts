import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { remedies } from "../../src/cli/doctor/remedies.js";
import { type Platform, PluginHostError } from "../../src/index.js";
import { CliFolder } from "../support/cli.js";
import { plugin as modulePlugin, program as sdkProgram } from "../support/cli-plugins.js";
import { doctor, doctorText, stepIn } from "../support/doctor.js";
import { type BrokenPlugin, BrokenPlugins, sample } from "../support/doctor-plugins.js";
import { membersOf, startPlatform } from "../support/process-plugins.js";

let broken: BrokenPlugins;
beforeAll(async () => {
  broken = await BrokenPlugins.open();
});
afterAll(() => broken[Symbol.asyncDispose]());

const faults = [
  "wrong architecture",
  "no exec bit",
  "noisy",
  "exits",
  "hangs",
  "wrong protocol",
  "port taken",
  "bad token",
  "missing dependency",
  "cycle",
  "panics",
  "slow",
];

const fixture = (fault: string): BrokenPlugin => {
  const found = broken.all.find((one) => one.fault === fault);
  if (found === undefined) throw new Error(`there is no plugin that is ${fault}`);
  return found;
};

/** Processes of the groups that a host has started. */
function watchPids(platform: Platform): Set<number> {
  const pids = new Set<number>();
  platform.on("output", ({ pid }) => pid !== undefined && pids.add(pid));
  return pids;
}

async function addFailing(fault: string): Promise<PluginHostError | undefined> {
  const { limitMs, specs } = fixture(fault);
  const platform = await startPlatform({ limits: { describeMs: limitMs, connectGraceMs: 50 }, supervision: false });
  const pids = watchPids(platform);
  const error = await platform.addPlugins(specs).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error === undefined) return undefined;
  if (!(error instanceof PluginHostError)) throw error;
  if (typeof error.details.pid === "number") pids.add(error.details.pid);
  expect(await membersOf([...pids])).toEqual([]);
  return error;
}

/** A single program by its command, a set by a configuration that says no more than the commands. */
async function examine(fault: string) {
  const { limitMs, specs } = fixture(fault);
  // It waits three times as long as it says that a host does.
  const times = ["--timeout", `${Math.round(limitMs / 3)}ms`, "--grace", "2s"];
  const plugins = specs.map(({ command, args = [], env = {} }) => ({ command, args, env }));
  if (specs.length > 1 || fault === "missing dependency") {
    await writeFile(join(broken.folder, "host.json"), JSON.stringify({ plugins }));
    return doctor([...times, "--config", "host.json"], broken.folder);
  }
  const [{ command, args, env } = { command: "", args: [], env: {} }] = plugins;
  const variables = Object.entries(env).flatMap(([name, value]) => ["--env", `${name}=${value}`]);
  return doctor([...times, ...variables, command, ...args]);
}

describe("twelve plugins of which eleven are broken", () => {
  test("are as many as there are faults, with eleven codes", () => {
    expect(broken.all.map(({ fault }) => fault)).toEqual(faults);
    const codes = broken.all.flatMap(({ code }) => (code === undefined ? [] : [code]));
    expect(codes).toHaveLength(11);
    expect(new Set(codes).size).toBe(11);
    const hints = new Set(codes.map((code) => remedies[code as keyof typeof remedies]));
    expect(hints.size).toBe(11);
    expect(hints).not.toContain(undefined);
  });

  test.each(faults)("%s: addPlugins says which fault it is, and nothing is left", async (fault) => {
    const error = await addFailing(fault);
    expect(error?.code).toBe(fixture(fault).code);
  });

  test.each(faults)("%s: doctor says which fault it is, and what to do", async (fault) => {
    const { code } = fixture(fault);
    const { exitCode, healthy, conclusion, sections } = await examine(fault);
    if (code === undefined) {
      expect({ exitCode, healthy, conclusion }).toEqual({ exitCode: 0, healthy: true, conclusion: null });
      expect(sections[0]?.steps.find(({ step }) => step === "output")?.seen).toMatch(/^10000 lines, \d+ KiB/);
      return;
    }
    expect({ exitCode, healthy }).toEqual({ exitCode: 1, healthy: false });
    expect(conclusion?.code).toBe(code);
    expect(conclusion?.hint).toBe(remedies[code as keyof typeof remedies]);
    expect(conclusion?.reference).toBe(`docs/reference/errors.md#${code.toLowerCase()}`);
  });

  test.each(["wrong architecture", "no exec bit", "exits", "hangs", "cycle"])(
    "%s: the message is the one that the reference shows",
    async (fault) => {
      const { code, message } = (await addFailing(fault)) ?? {};
      const text = readFileSync(new URL("../../docs/reference/errors.md", import.meta.url), "utf8");
      const section = text.split(/^### /m).find((part) => part.startsWith(`\`${code}\``));
      const example = /```text\n([\s\S]+?)\n```/.exec(section ?? "")?.[1] ?? "";
      const plain = (said: string): string =>
        said
          .replaceAll(broken.folder, "/srv/plugins")
          .replace(/\d+/g, "0")
          .replace(/\b(x0|arm0)\b/g, "arch")
          .replace(/\s+/g, " ");
      expect(plain(example)).toBe(plain(message ?? ""));
    },
  );
});

describe("doctor", () => {
  test("tells who is slow from who hangs by waiting longer than a host does", async () => {
    const slow = await doctor(["--timeout", "3s", "--grace", "2s", "--env", "SLOW_MS=3500", ...commandOf("slow")]);
    expect(slow.conclusion).toMatchObject({ step: "answers", code: "STEP_TIMEOUT" });
    expect(slow.conclusion?.message).toMatch(/it is slow, and does not hang: raise limits\.describeMs to \d+/);
    const patient = await doctor(["--timeout", "20s", "--grace", "2s", "--env", "SLOW_MS=700", ...commandOf("slow")]);
    expect(patient.healthy).toBe(true);
  });

  test("goes through every step of a plugin that is well, and has nothing to say against it", async () => {
    const report = await doctor(commandOf("none"));
    expect(report.sections[0]?.steps.map(({ step, status }) => `${step} ${status}`)).toEqual([
      "machine ok",
      "folder ok",
      "command ok",
      "executable ok",
      "architecture ok",
      "port ok",
      "starts ok",
      "output ok",
      "stays ok",
      "listens ok",
      "answers ok",
      "declaration ok",
      "dependencies ok",
      "handshake skipped",
      "identity ok",
      "services ok",
      "health ok",
      "calls skipped",
      "shutdown ok",
      "sigterm ok",
      "leftovers ok",
    ]);
    expect(report).toMatchObject({ exitCode: 0, healthy: true, warnings: 0, conclusion: null });
  });

  test.each([
    { fault: "open to all", step: "listens", status: "warn", seen: /every interface/ },
    { fault: "stays", step: "sigterm", status: "fail", seen: /ran on for .* after SIGTERM, and was killed/ },
    { fault: "hangs up", step: "answers", status: "fail", seen: /ends each of them without an answer/ },
    { fault: "no HTTP", step: "answers", status: "fail", seen: /no HTTP\/1\.1/ },
    { fault: "unhealthy", step: "health", status: "fail", seen: /did not become healthy/ },
  ])("sees a plugin that is $fault in the step $step", async ({ fault, step, status, seen }) => {
    const report = await doctor(["--timeout", "3s", "--grace", "1s", ...commandOf(fault)]);
    expect(stepIn(report, step)).toMatchObject({ status, seen: expect.stringMatching(seen) });
    expect(report.exitCode).toBe(status === "fail" ? 1 : 0);
  });

  test("plays what a plugin requires, and says that a host needs it; without stand-ins it fails", async () => {
    const args = ["--env", "NEEDS=logger", ...commandOf("none")];
    const played = await doctor(args);
    expect(stepIn(played, "dependencies")).toMatchObject({ status: "warn", seen: expect.stringContaining("logger") });
    expect(played.exitCode).toBe(0);
    const alone = await doctor(["--no-stand-ins", ...args]);
    expect(alone.conclusion).toMatchObject({ step: "dependencies", code: "DEPENDENCY_MISSING" });
  });

  test("looks at a plugin that runs already, and leaves it running", async () => {
    const server = createServer((_, response) => {
      response.setHeader("content-type", "application/json").end(JSON.stringify({ selfId: "there", state: 1 }));
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as { readonly port: number };
    const report = await doctor(["--endpoint", `http://127.0.0.1:${port}`]);
    expect(stepIn(report, "answers")?.seen).toContain("GetPluginInfo was answered 200");
    expect((await fetch(`http://127.0.0.1:${port}`)).ok).toBe(true);
    const gone = await doctor(["--endpoint", "http://127.0.0.1:1"]);
    expect(gone.conclusion).toMatchObject({ step: "listens", code: "PLUGIN_UNREACHABLE" });
  });

  test("breaks its lines at 80 columns, and ends with what is wrong, what to do and where to read more", async () => {
    const { exitCode, stdout } = await doctorText([join(broken.folder, "exits")]);
    expect(exitCode).toBe(1);
    expect(stdout.split("\n").filter((line) => line.length > 80 && !line.includes(broken.folder))).toEqual([]);
    expect(stdout).toMatch(/^ {2}FAIL {2}stays alive {5}/m);
    expect(stdout).toMatch(/\nWhat is wrong: stays alive \(PLUGIN_EXITED\)\n[\s\S]+\| cannot open the database\n/);
    expect(stdout).toMatch(
      /\nWhat to do:\n {2}Run the command by hand[\s\S]+\nMore: docs\/reference\/errors.md#plugin_exited\n$/,
    );
  });

  test.each([
    { args: [], said: /nothing says what to examine/ },
    { args: ["--endpoint", "http://127.0.0.1:1", "node"], said: /one thing at a time/ },
    { args: ["--endpoint", "ftp://a"], said: /endpoint must begin with/ },
    { args: ["--module", "./a.js", "--cwd", "/"], said: /belong to a command/ },
    { args: ["--config", "none.yaml"], said: /cannot be read/ },
  ])("refuses what cannot be examined: $args", async ({ args, said }) => {
    const { exitCode, stderr } = await doctorText(args);
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(said);
  });
});

describe("doctor as a command", () => {
  test("examines modules, workers and programs of our SDK, and a configuration with all of them", async () => {
    await using folder = await CliFolder.open({
      "plugin.mjs": modulePlugin,
      "program.mjs": sdkProgram,
      "host.yaml":
        "plugins:\n  - { command: node, args: [program.mjs], env: { NAME: app, NEEDS: echo } }\n  - module: ./plugin.mjs\n",
    });
    const well = { exitCode: 0, stderr: "" };
    expect(await folder.run(["doctor", "--module", "./plugin.mjs"])).toMatchObject(well);
    expect(await folder.run(["doctor", "--worker", "./plugin.mjs"])).toMatchObject(well);
    expect(await folder.run(["doctor", "--", "node", "program.mjs"])).toMatchObject(well);
    const all = await folder.run(["doctor", "--config", "host.yaml"]);
    // Only once the program runs the host knows what that needs, and starts it again when it is there.
    expect(all).toMatchObject(well);
    expect(all.stdout).toMatch(/all of them\n/);
    const none = await folder.run(["doctor", "--module", "./none.mjs", "--json"]);
    expect(JSON.parse(none.stdout)).toMatchObject({ conclusion: { step: "module", code: "PLUGIN_FAILED" } });
  });

  test.each(["SIGINT", "SIGTERM"] as const)("ends with %s and leaves nothing running", async (signal) => {
    await using folder = await CliFolder.open({
      "hang.mjs":
        'import { writeFileSync } from "node:fs"; writeFileSync("pid", String(process.pid)); setInterval(() => {}, 1e6);',
    });
    const running = folder.start(["doctor", "--", "node", "hang.mjs"]);
    const pidFile = join(folder.path, "pid");
    await expect.poll(() => readFileSync(pidFile, { encoding: "utf8", flag: "a+" }), { timeout: 20_000 }).not.toBe("");
    running.child.kill(signal);
    const { exitCode, stderr } = await running.ended;
    expect(exitCode).toBe(signal === "SIGINT" ? 130 : 143);
    expect(stderr).toContain("what was started is stopped");
    expect(await membersOf([Number(readFileSync(pidFile, "utf8"))])).toEqual([]);
  });
});

const commandOf = (fault: string): string[] => {
  const { command, args } = sample(fault);
  return [command, ...args];
};
