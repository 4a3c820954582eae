// biome-ignore-all lint/suspicious/noTemplateCurlyInString: that is how the file names variables
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { readConfig } from "../../../../src/cli/config/read-config.js";

const folder = mkdtempSync(join(tmpdir(), "config-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

const variables = { TOKEN: "0123456789abcdef", NAME: "cache", EMPTY: "", BRACES: "${TOKEN}" };

async function read(text: string, file = "host.yaml") {
  writeFileSync(join(folder, file), text);
  return readConfig(file, { workingDirectory: folder, variables });
}

const whole = `
listen: 127.0.0.1:4000
publicUrl: https://plugins.example.org
adminToken: \${TOKEN}
adminSocket: admin.sock
limits: { healthMs: 1000 }
health: { intervalMs: 500, fallThreshold: 2 }
router: { maxInFlightPerProvider: 5, queueTimeoutMs: 250, trustedProxies: [10.0.0.0/8], whenAllEjected: try }
server: { maxHeaderBytes: 16384 }
callerRate: { perSecond: 10, burst: 20 }
selection: { cache: least-in-flight }
ingress:
  - { prefix: /, type: app }
plugins:
  - endpoint: http://127.0.0.1:4001
  - command: ./\${NAME}
    args: ["--name=\${NAME}-\${NAME}", "$\${NAME}", "$5", "a$"]
    env: { KEY: "\${EMPTY}" }
    cwd: sub
    declares:
      selfId: cache
      provides: [{ type: cache, version: 1.0.0 }]
      requires: [{ type: logger, minVersion: ^1.0.0, required: false }]
  - module: ./plugin.mjs
`;

test("a file that uses everything is read, with variables in their places", async () => {
  const { config, folder: seenFrom } = await read(whole);
  expect(seenFrom).toBe(folder);
  expect(config).toMatchObject({
    listen: "127.0.0.1:4000",
    adminToken: variables.TOKEN,
    selection: { cache: "least-in-flight" },
    ingress: [{ prefix: "/", type: "app" }],
    health: { intervalMs: 500, fallThreshold: 2 },
    router: { maxInFlightPerProvider: 5, queueTimeoutMs: 250, trustedProxies: ["10.0.0.0/8"], whenAllEjected: "try" },
    server: { maxHeaderBytes: 16_384 },
  });
  expect(config.plugins?.[1]).toEqual({
    command: "./cache",
    // A variable's value is not looked at for variables again.
    args: ["--name=cache-cache", "${NAME}", "$5", "a$"],
    env: { KEY: "" },
    cwd: "sub",
    declares: {
      selfId: "cache",
      provides: [{ type: "cache", version: "1.0.0" }],
      requires: [{ type: "logger", minVersion: "^1.0.0", required: false }],
    },
  });
});

test("the same as JSON, with tabs, is read the same", async () => {
  const { config } = await read(whole);
  const { config: again } = await read(JSON.stringify(config, null, "\t"), "host.json");
  expect({ ...again, plugins: [] }).toEqual({ ...config, plugins: [] });
  expect(again.plugins?.[0]).toEqual(config.plugins?.[0]);
});

test.each(["", "# nothing\n", "{}", "---\n"])("%j is a configuration without settings", async (text) => {
  expect((await read(text)).config).toEqual({});
});

test("an alias stands for what it names", async () => {
  const { config } = await read("plugins:\n  - { command: a, env: &env { A: x } }\n  - { command: b, env: *env }\n");
  expect(config.plugins?.[1]?.env).toEqual({ A: "x" });
});

test("a value of a variable is not taken for a variable", async () => {
  expect((await read("joinToken: ${BRACES}")).config.joinToken).toBe("${TOKEN}");
});

const plugins = (text: string) => `plugins:\n  - ${text}\n`;

test.each<{ text: string; error: string | RegExp; why: string }>([
  { text: "listen: [", error: /^host\.yaml:1:10: Flow sequence/, why: "no YAML" },
  { text: "a: 1\na: 2", error: /^host\.yaml:2:1: Map keys must be unique/, why: "a name twice" },
  { text: "- a", error: "host.yaml:1:1: must be an object of names and values, got a list", why: "a list" },
  { text: "hello", error: 'host.yaml:1:1: must be an object of names and values, got "hello"', why: "a text" },
  { text: "\nlisten: 5", error: "host.yaml:2:9: listen must be a text, got 5", why: "a number for a text" },
  { text: "listen:", error: "host.yaml:1:8: listen must be a text, got nothing", why: "nothing" },
  { text: "listen: nowhere", error: /^host\.yaml:1:9: listen must be HOST:PORT.*, got "nowhere"$/, why: "no address" },
  { text: "listn: a", error: "host.yaml:1:1: listn is not a name that may stand here", why: "a misspelt name" },
  {
    text: "health:\n  intervalMs: 5\n  interval: 6\n  timeout: 7",
    error:
      "host.yaml:3:3: health.interval is not a name that may stand here\n" +
      "host.yaml:4:3: health.timeout is not a name that may stand here",
    why: "two misspelt names",
  },
  {
    text: "health:\n  intervalMs: -5",
    error: "host.yaml:2:15: health.intervalMs must be at least 0, got -5",
    why: "below zero",
  },
  {
    text: "health: { fallThreshold: 1.5 }",
    error: "host.yaml:1:26: health.fallThreshold must be a whole number, got 1.5",
    why: "a fraction",
  },
  { text: "limits: 5", error: "host.yaml:1:9: limits must be an object of names and values, got 5", why: "no object" },
  {
    text: "selection: { a: best }",
    error: /^host\.yaml:1:17: selection\.a must be one of first, .*, got "best"$/,
    why: "no such strategy",
  },
  { text: "plugins: {}", error: "host.yaml:1:1: plugins must be a list, got an object", why: "no list" },
  {
    text: plugins("{}"),
    error: /^host\.yaml:2:5: plugins\[0\] must have exactly one of endpoint, command, module, worker$/,
    why: "no source",
  },
  {
    text: plugins("endpoint: http://a\n    module: ./b"),
    error: /^host\.yaml:3:13: plugins\[0\]\.module must have exactly one of endpoint, command, module, worker/,
    why: "two sources",
  },
  {
    text: plugins("endpoint: http://a\n    args: [b]"),
    error: "host.yaml:3:11: plugins[0].args belongs to a `command` or a `worker`",
    why: "arguments for nothing",
  },
  {
    text: plugins("module: ./a.mjs\n    watchdogMs: 500"),
    error: "host.yaml:3:17: plugins[0].watchdogMs belongs to a `worker`",
    why: "a watchdog for nothing",
  },
  {
    text: plugins("command: a\n    args: [b, 5]"),
    error: "host.yaml:3:15: plugins[0].args[1] must be a text, got 5",
    why: "a number in a list",
  },
  { text: plugins("command: ''"), error: "host.yaml:2:14: plugins[0].command must not be empty", why: "an empty text" },
  {
    text: plugins("command: a\n    env: { A: true }"),
    error: "host.yaml:3:15: plugins[0].env.A must be a text, got true",
    why: "a variable that is no text",
  },
  {
    text: plugins("command: a\n    declares: { selfId: a, provides: [{ version: 1.0.0 }] }"),
    error: "host.yaml:3:39: plugins[0].declares.provides[0].type is missing; it must be a text",
    why: "something missing",
  },
  {
    text: "ingress: [{ prefix: / }]",
    error: "host.yaml:1:11: ingress[0].type is missing; it must be a text",
    why: "no type",
  },
  {
    text: "adminToken: ${NOT_SET}",
    error: "host.yaml:1:13: adminToken needs the environment variable NOT_SET, which is not set",
    why: "a variable that is not set",
  },
  {
    text: plugins("command: a\n    args: [x, '${NOT_SET}']"),
    error: "host.yaml:3:15: plugins[0].args[1] needs the environment variable NOT_SET, which is not set",
    why: "the same in a list",
  },
  { text: "adminToken: ${TOKEN", error: /^host\.yaml:1:13: adminToken has \$\{ without \}/, why: "no end" },
  { text: "adminToken: ${a b}", error: /^host\.yaml:1:13: adminToken names no variable in \$\{a b\}/, why: "no name" },
  {
    text: "adminToken: 12345678901234567890",
    error: /^host\.yaml:1:13: adminToken must be a text, got 1234/,
    why: "a token of digits alone",
  },
])("refuses $why, with its place", async ({ text, error }) => {
  const refused = await read(text).then(
    () => undefined,
    (thrown: Error) => thrown,
  );
  expect(refused).toMatchObject({ exitCode: 2 });
  if (typeof error === "string") expect(refused?.message).toBe(error);
  else expect(refused?.message).toMatch(error);
});

test("aliases that unfold to more than any file needs are refused", async () => {
  const levels = Array.from({ length: 12 }, (_, level) =>
    level === 0 ? "a0: &a0 [x]" : `a${level}: &a${level} [${`*a${level - 1},`.repeat(9)}]`,
  );
  await expect(read(levels.join("\n"))).rejects.toMatchObject({ exitCode: 2 });
});

test("an error of the host about a setting gets the setting's place", async () => {
  const { errorAt } = await read("health:\n  intervalMs: 5\nplugins:\n  - module: a\n  - module: b\n");
  expect(errorAt("health.intervalMs", "is bad").message).toBe("host.yaml:2:15: health.intervalMs is bad");
  expect(errorAt("plugins[1]", "failed").message).toBe("host.yaml:5:5: plugins[1] failed");
  expect(errorAt("not.there", "is bad").message).toBe("host.yaml:1:1: not.there is bad");
});
