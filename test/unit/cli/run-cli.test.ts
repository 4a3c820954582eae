import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { exitCodes } from "../../../src/cli/exit-codes.js";
import { libraryVersion } from "../../../src/version.js";
import { runHere } from "../../support/cli.js";

const fileText = (path: string) => readFileSync(fileURLToPath(new URL(`../../../${path}`, import.meta.url)), "utf8");

const host = ["--host", "http://127.0.0.1:9"];

test.each<{ args: string[]; stderr: RegExp; why: string }>([
  { args: [], stderr: /Usage: connect-plugin-host/, why: "nothing to do" },
  { args: ["bogus"], stderr: /unknown command 'bogus'/, why: "no such command" },
  { args: ["plugin"], stderr: /Did you mean plugins\?/, why: "a misspelt command" },
  { args: ["plugins", "--bogus"], stderr: /unknown option '--bogus'/, why: "no such option" },
  { args: ["plugins", "extra", ...host], stderr: /too many arguments/, why: "too many arguments" },
  { args: ["plugins"], stderr: /which host\?.*\n.*CONNECT_PLUGIN_HOST_URL/, why: "no host" },
  { args: ["plugins", "--host", "nowhere"], stderr: /--host must be a URL/, why: "no URL" },
  { args: ["remove", ...host], stderr: /missing required argument 'id'/, why: "no id" },
  { args: ["remove", "x", "--grace", "5", ...host], stderr: /number with a unit: 500ms/, why: "no unit" },
  { args: ["add", ...host], stderr: /nothing says where the plugin comes from/, why: "no source" },
  { args: ["add", "http://h", ...host, "--", "x"], stderr: /comes from one place/, why: "two sources" },
  { args: ["add", ...host, "--"], stderr: /no command behind --/, why: "an empty command" },
  { args: ["plugins", ...host, "--", "x"], stderr: /only add, check, doctor and replace/, why: "a program for nobody" },
  { args: ["plan", "add", ...host], stderr: /nothing says what the plugin is/, why: "nothing to plan" },
  { args: ["plan", "bogus"], stderr: /unknown command 'bogus'/, why: "no such plan" },
  { args: ["strategy", "cache", ...host], stderr: /missing required argument 'name'/, why: "no strategy" },
  { args: ["serve", "--listen", "nowhere"], stderr: /--listen must be HOST:PORT/, why: "no address" },
  { args: ["serve", "--expose", "app"], stderr: /--expose must be PREFIX=TYPE/, why: "no prefix" },
  {
    args: ["serve", "--expose", "/=app", "--expose", "/=api"],
    stderr: /ingress\[1\]\.prefix/,
    why: "one prefix twice",
  },
  { args: ["serve", "--admin-token", "short"], stderr: /adminToken must be 16 to 256/, why: "a weak token" },
  { args: ["serve", "--listen", "0.0.0.0:0"], stderr: /LISTEN_REFUSED[\s\S]*--join-token/, why: "open to everybody" },
  { args: ["serve", "--config", "/none.yaml"], stderr: /\/none\.yaml cannot be read: ENOENT/, why: "no such file" },
])("connect-plugin-host $args ends with 2 and says what to do: $why", async ({ args, stderr }) => {
  const result = await runHere(args);
  expect(result.stderr).toMatch(stderr);
  expect(result).toMatchObject({ exitCode: exitCodes.usage, stdout: "" });
});

test.each([["--help"], ["plugins", "--help"], ["plan", "--help"], ["plan", "remove", "--help"], ["help", "add"]])(
  "%s %s prints help on stdout and ends with 0",
  async (...args) => {
    const { exitCode, stdout, stderr } = await runHere(args);
    expect(stdout).toMatch(/^Usage: connect-plugin-host/);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  },
);

test("--version prints the package's version", async () => {
  expect(await runHere(["--version"])).toEqual({ exitCode: 0, stdout: `${libraryVersion}\n`, stderr: "" });
});

test("nobody there: exit code 3, the address, the reason and what to do", async () => {
  const { exitCode, stdout, stderr } = await runHere(["plugins", ...host]);
  expect(stderr).toMatch(/^error: no host answers at http:\/\/127\.0\.0\.1:9: connect ECONNREFUSED.*\n.*serve/);
  expect({ exitCode, stdout }).toEqual({ exitCode: 3, stdout: "" });
});

test("with --json an error is one JSON object", async () => {
  const { exitCode, stderr } = await runHere(["plugins", "--json", ...host]);
  expect(exitCode).toBe(3);
  expect(JSON.parse(stderr)).toEqual({
    error: {
      message: expect.stringContaining("no host answers"),
      exitCode: 3,
      code: expect.any(String),
      hostCode: null,
      step: null,
      hint: expect.stringContaining("serve"),
    },
  });
});

test("a secret is never shown", async () => {
  const { stderr } = await runHere(["serve", "--admin-token", "s3cret"]);
  expect(stderr).not.toContain("s3cret");
});

test("the reference lists every exit code, every command and every variable", async () => {
  const reference = fileText("docs/reference/cli.md");
  for (const code of Object.values(exitCodes)) expect(reference).toMatch(new RegExp(`^\\| ${code} \\|`, "m"));
  const { stdout } = await runHere(["--help"]);
  const commands = [...stdout.matchAll(/^ {2}([a-z]+) /gm)]
    .map(([, name = ""]) => name)
    .filter((name) => name !== "help");
  expect(commands.length).toBeGreaterThan(10);
  for (const command of commands) {
    expect(reference, command).toContain(`\`${command}`);
    const { stdout: help } = await runHere([command, "--help"]);
    for (const [option] of help.matchAll(/--[a-z][a-z-]+/g)) {
      if (option !== "--help") expect(reference, `${command} ${option}`).toContain(`\`${option}`);
    }
    for (const [variable] of help.matchAll(/CONNECT_PLUGIN_HOST_[A-Z_]+/g)) expect(reference).toContain(variable);
  }
});
