import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { buildExamples } from "../../scripts/example-build.mjs";
import { clauseIds } from "../../src/cli/check/clauses.js";
import { type CheckOutput, check, checkedScript, failures, skipped } from "../support/check.js";
import { runHere } from "../support/cli.js";

const limitMs = 60_000;

describe("check of a program", () => {
  test(
    "passes a plugin that keeps every clause, and says of every other clause why it does not apply",
    async () => {
      const { exitCode, results, failed, passed } = await check("none", []);
      expect(failures(results)).toEqual([]);
      expect({ exitCode, failed }).toEqual({ exitCode: 0, failed: 0 });
      expect(results.map(({ clause }) => clause)).toEqual(clauseIds);
      expect(passed).toBeGreaterThanOrEqual(39);
      expect(skipped(results).filter((clause) => clause !== "W-11.6")).toEqual(["W-2.1"]);
    },
    limitMs,
  );

  test(
    "passes plugins of our own SDK, with what they require played by stand-ins",
    async () => {
      const main = join(buildExamples(), "examples", "app", "main.js");
      const { exitCode, stdout } = await runHere(["check", "--json", process.execPath, main], {
        variables: { PATH: process.env.PATH ?? "" },
        workingDirectory: import.meta.dirname,
      });
      const { results } = JSON.parse(stdout) as CheckOutput;
      expect(failures(results)).toEqual([]);
      expect(exitCode).toBe(0);
      expect(skipped(results).filter((clause) => clause !== "W-11.6")).toEqual(["W-2.1", "W-8.6"]);
    },
    limitMs,
  );

  test.each([
    { fault: "managed only", na: "W-3.1", why: "it waits for a host to find it" },
    { fault: "needs its host", na: "W-2.3", why: "it cannot do without HOST_URL" },
    { fault: "listens, and ends without its host", na: "W-2.3", why: "it cannot do without HOST_URL either" },
    { fault: "JSON only", na: "W-1.5", why: "it says so with 415" },
    { fault: "fails for what it does not have", na: "W-2.1", why: "it does so for its host as well" },
    { fault: "requires a service", na: "W-2.1", why: "the check stands in for what it requires" },
  ])(
    "passes a plugin of the kind: $fault ($why)",
    async ({ fault, na }) => {
      const { exitCode, results } = await check(fault);
      expect(failures(results)).toEqual([]);
      expect(exitCode).toBe(0);
      expect(skipped(results)).toContain(na);
    },
    limitMs,
  );

  test(
    "says for people what was expected, what was seen and what to do",
    async () => {
      const args = ["check", "--timeout", "4s", "--grace", "1s", process.execPath, checkedScript, "text/plain"];
      const { exitCode, stdout } = await runHere(args, {
        variables: { PATH: process.env.PATH ?? "" },
        workingDirectory: "/",
      });
      expect(exitCode).toBe(1);
      expect(stdout).toMatch(
        /^W-1\.7 +FAIL {2}answers in the content type of the request\n +expected: .+\n +seen: +200 text\/plain: .+\n +to do: +set Content-Type/m,
      );
      expect(stdout).toMatch(/^\d+ passed, 1 failed, \d+ not applicable/m);
    },
    limitMs,
  );
});

describe("check of an endpoint", () => {
  async function start(fault: string): Promise<{ readonly url: string; readonly ended: Promise<unknown> }> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { readonly port: number };
    server.close();
    await once(server, "close");
    const env = { PATH: process.env.PATH, PORT: String(port), HOSTNAME: "127.0.0.1" };
    const child = spawn(process.execPath, [checkedScript, fault], { env, stdio: "ignore" });
    const ended = once(child, "exit");
    onTestFinished(async () => {
      child.kill("SIGKILL");
      await ended;
    });
    const url = `http://127.0.0.1:${port}`;
    while (child.exitCode === null && (await fetch(url).catch(() => undefined)) === undefined) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return { url, ended };
  }

  const checkUrl = async (url: string, options: readonly string[] = []) => {
    const { exitCode, stdout } = await runHere(["check", "--json", "--timeout", "4s", ...options, "--url", url]);
    return { exitCode, ...(JSON.parse(stdout) as CheckOutput) };
  };

  test(
    "leaves it running, and with --shutdown asks it to end",
    async () => {
      const { url, ended } = await start("none");
      const first = await checkUrl(url);
      expect(failures(first.results)).toEqual([]);
      expect(skipped(first.results)).toEqual(expect.arrayContaining(["W-12.4", "W-12.5", "W-11.2", "W-3.1"]));
      expect((await fetch(url)).status).toBe(404);

      const last = await checkUrl(url, ["--shutdown"]);
      expect(failures(last.results)).toEqual([]);
      expect(last.results.find(({ clause }) => clause === "W-12.5")?.status).toBe("pass");
      await ended;
    },
    limitMs,
  );

  test(
    "names the clause that fails",
    async () => {
      const { url } = await start("unhealthy");
      const { exitCode, results } = await checkUrl(url, ["--timeout", "1s"]);
      expect(failures(results)).toEqual([expect.stringMatching(/^W-2\.1: PLUGIN_NOT_HEALTHY/)]);
      expect(exitCode).toBe(1);
    },
    limitMs,
  );

  test("says that nothing is there", async () => {
    const { exitCode, results } = await checkUrl("http://127.0.0.1:1");
    expect(failures(results)).toEqual([expect.stringMatching(/^W-1\.2: .*ECONNREFUSED/)]);
    expect(exitCode).toBe(1);
  });
});

test.each([
  { args: [], stderr: /nothing says what to check/ },
  { args: ["--url", "http://127.0.0.1:1", "node"], stderr: /not both/ },
  { args: ["--url", "ftp://a"], stderr: /http:\/\// },
  { args: ["--url", "http://127.0.0.1:1", "--cwd", "/"], stderr: /belong to a command/ },
])("refuses what cannot be checked: $args", async ({ args, stderr }) => {
  const said = await runHere(["check", ...args]);
  expect(said.exitCode).toBe(2);
  expect(said.stderr).toMatch(stderr);
});

test("there is an exit code of its own for a command that does not exist, and options behind a command are its own", async () => {
  const { exitCode, stderr } = await runHere(["check", "./no-such-plugin", "--json"], { workingDirectory: "/" });
  expect(exitCode).toBe(4);
  expect(stderr).toMatch(/cannot be started: .*ENOENT/);
});

test("every clause that the check tests is in the specification", () => {
  const text = readFileSync(new URL("../../docs/reference/wire.md", import.meta.url), "utf8");
  const specified = new Set([...text.matchAll(/^\*\*(W-\d+\.\d+)\*\*/gm)].map(([, id]) => id));
  expect(clauseIds.filter((id) => !specified.has(id))).toEqual([]);
});
