import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { type AddressInfo, isIPv4 } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { parse } from "yaml";
import { apiPlugin } from "../../examples/url-shortener/api-plugin.js";
import { LinkStore } from "../../examples/url-shortener/link-store.js";
import { storagePlugin } from "../../examples/url-shortener/storage-plugin.js";
import { buildExamples } from "../../scripts/example-build.mjs";
import { Platform } from "../../src/index.js";
import { within } from "../support/http-server.js";

const example = fileURLToPath(new URL("../../examples/url-shortener", import.meta.url));

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "url-shortener-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/** Runs a command to its end, with nothing in its environment but what is given. */
async function run(command: readonly string[], env: NodeJS.ProcessEnv, cwd: string): Promise<Ended> {
  const [program = "", ...args] = command;
  const child = spawn(program, args, { env, cwd, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, output };
}

test("setup.sh, run.sh, test.sh and stop.sh do what they say, without a home and from another folder", async () => {
  const STATE_DIR = await temporaryFolder();
  const env = { PATH: process.env.PATH, STATE_DIR, PORT: "0" };
  const script = (name: string, ...args: string[]) => run([join(example, name), ...args], env, STATE_DIR);
  onTestFinished(async () => void (await script("stop.sh")));

  expect(await script("setup.sh")).toEqual({ code: 0, output: "ready: ./run.sh starts it\n" });
  const started = await script("run.sh");
  expect(started).toEqual({ code: 0, output: expect.stringMatching(/^listening on http:\/\/127\.0\.0\.1:\d+\n$/) });
  expect(await script("run.sh")).toMatchObject({ code: 1, output: expect.stringContaining("it runs already at") });

  const tested = await script("test.sh");
  expect(tested.output.match(/^ok: /gm)).toHaveLength(13);
  expect(tested).toMatchObject({ code: 0, output: expect.stringMatching(/\nall passed\n$/) });

  expect(await script("stop.sh")).toEqual({ code: 0, output: "stopped\n" });
  expect(await script("stop.sh")).toEqual({ code: 1, output: "it does not run\n" });
  expect(await script("test.sh")).toMatchObject({ code: 1, output: "it does not run: ./run.sh starts it\n" });
  const log = await readFile(join(STATE_DIR, "host.log"), "utf8");
  expect(log).toContain("api-plugin");
  expect(log.trimEnd()).toMatch(/stopped$/);
}, 120_000);

test("run.sh ends with 1 and the host's log if the host does not get ready", async () => {
  const STATE_DIR = await temporaryFolder();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const PORT = String((server.address() as AddressInfo).port);
  const env = { PATH: process.env.PATH, STATE_DIR, PORT };
  const { code, output } = await run([join(example, "run.sh")], env, STATE_DIR);
  expect(output).toContain("EADDRINUSE");
  expect(output).toContain("the host did not get ready");
  expect(code).toBe(1);
}, 60_000);

test("test.sh ends with 1 and says what is wrong if an answer is not right", async () => {
  const server = createServer((_request, response) => response.writeHead(201).end('{"code":"no"}'));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { code, output } = await run([join(example, "test.sh"), url], { PATH: process.env.PATH }, example);
  expect(output).toContain("FAILED: a long URL gets a code");
  expect(code).toBe(1);
});

interface ComposeService {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly healthcheck: { readonly test: readonly string[] };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly ports?: readonly string[];
  readonly image: string;
}

const joinToken = "a-token-of-this-test";

/** What `compose.yaml` says, with its variables filled in. */
async function readCompose(): Promise<Readonly<Record<string, ComposeService>>> {
  const text = await readFile(join(example, "compose.yaml"), "utf8");
  const filled = text.replaceAll(/\$\{JOIN_TOKEN(?::\?[^}]*)?\}/g, joinToken).replaceAll(/\$\{PORT:-(\d+)\}/g, "$1");
  const document = parse(filled, { merge: true });
  expect(JSON.stringify(document)).not.toContain("${");
  return document.services;
}

test("compose.yaml: names, ports and health checks belong together", async () => {
  const services = await readCompose();
  expect(Object.keys(services).sort()).toEqual(["api", "host", "logger", "storage"]);
  const { host, ...plugins } = services;
  expect(host?.command).toContain("0.0.0.0:8080");
  expect(host?.ports).toEqual(["127.0.0.1:4000:8080"]);
  for (const [name, { environment, healthcheck, depends_on }] of Object.entries(plugins)) {
    expect(environment).toMatchObject({ HOST_URL: "http://host:8080", HOSTNAME: name });
    expect(healthcheck.test.slice(-2)).toEqual(["http://host:8080", name === "api" ? "shortener" : name]);
    expect(depends_on?.host).toEqual({ condition: "service_healthy" });
  }
  const build = buildExamples();
  const dockerfile = await readFile(join(example, "Dockerfile"), "utf8");
  expect(dockerfile).toContain("WORKDIR /app");
  for (const { command, healthcheck } of Object.values(services)) {
    expect(command[0]).toBe("node");
    await readFile(join(build, command[1] ?? ""));
    await readFile(join(build, healthcheck.test[2] ?? ""));
  }
  expect(dockerfile).toContain("/data");
  expect(services.storage?.environment.LINKS_FILE).toMatch(/^\/data\//);
}, 60_000);

/** An address of this machine that is not loopback, so that the host treats plugins as strangers, as in a container. */
const ownAddress = (): string =>
  Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ internal, address }) => !internal && isIPv4(address))?.address ?? "127.0.0.1";

/** Resolves with the first group of the pattern in what the program prints. */
function printed({ stdout, stderr }: ChildProcess, pattern: RegExp): Promise<string> {
  let output = "";
  return within(
    20_000,
    `output like ${pattern}`,
    new Promise((resolve) => {
      for (const stream of [stdout, stderr]) {
        stream?.setEncoding("utf8").on("data", (text: string) => {
          output += text;
          const found = pattern.exec(output)?.[1];
          if (found !== undefined) resolve(found);
        });
      }
    }),
  );
}

test("what compose.yaml starts finds its host, is healthy, and serves, with processes in the place of containers", async () => {
  const services = await readCompose();
  const folder = await temporaryFolder();
  const build = buildExamples();
  const address = ownAddress();
  let hostUrl = "";
  const localized = (text: string): string =>
    text
      .replace("http://host:8080", hostUrl)
      .replace("0.0.0.0:8080", "0.0.0.0:0")
      .replace(/^\/data\//, `${folder}/`);
  const start = async (name: string): Promise<void> => {
    const { command = [], environment = {} } = services[name] ?? {};
    const given = Object.entries(environment).map(([key, value]): [string, string] => [key, localized(value)]);
    const own = { PATH: process.env.PATH, ...Object.fromEntries(given) };
    const env = name === "host" ? own : { ...own, HOSTNAME: address, PORT: "0" };
    const [program = "", ...args] = command.map(localized);
    const child = spawn(program, args, { cwd: build, env, stdio: ["ignore", "pipe", "pipe"] });
    onTestFinished(async () => {
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await new Promise((done) => child.once("exit", done));
    });
    const port = await printed(child, /http:\/\/[\d.]+:(\d+)\D/);
    if (name === "host") hostUrl = `http://${address}:${port}`;
  };
  for (const name of ["host", "logger", "storage", "api"]) {
    await start(name);
    const [kind, ...check] = services[name]?.healthcheck.test ?? [];
    expect(kind).toBe("CMD");
    const checked = await run(check.map(localized), { PATH: process.env.PATH }, build);
    expect(checked).toEqual({ code: 0, output: "" });
  }
  const env = { PATH: process.env.PATH };
  const tested = await run([join(example, "test.sh"), `http://127.0.0.1:${new URL(hostUrl).port}`], env, folder);
  expect(tested).toMatchObject({ code: 0, output: expect.stringMatching(/\nall passed\n$/) });
  const missing = ["node", "examples/url-shortener/health-check.js", hostUrl, "no-such-service"];
  expect((await run(missing, env, build)).code).toBe(1);
}, 60_000);

test("in process: a body that is too long is refused, and without storage the answer is 503 with the reason", async () => {
  const platform = new Platform({ ingress: [{ prefix: "/", type: "shortener", access: "open" }] });
  onTestFinished(() => platform.stop());
  await platform.listen({ port: 0 });
  const [storage] = await platform.addPlugins([{ module: storagePlugin() }, { module: apiPlugin }]);
  const shorten = (body: string): Promise<Response> => fetch(`${platform.url}/shorten`, { method: "POST", body });
  expect((await shorten(JSON.stringify({ url: "https://example.org/" }))).status).toBe(201);
  expect((await shorten(`"${"x".repeat(20_000)}"`)).status).toBe(413);
  expect((await shorten(JSON.stringify({ url: `https://example.org/${"x".repeat(2_048)}` }))).status).toBe(400);
  await platform.removePlugin(storage?.runtimeId ?? "", { limits: { graceMs: 1_000 } });
  const refused = await shorten(JSON.stringify({ url: "https://example.org/" }));
  expect(refused.status).toBe(503);
  expect(refused.headers.get("retry-after")).toBe("1");
  expect(await refused.json()).toEqual({ error: expect.stringMatching(/^storage is not available: .*storage/) });
  expect(platform.plugins()).toMatchObject([{ selfId: "api-plugin", health: "degraded" }]);
});

test("links are read again from their file, also behind a line that was cut off", async () => {
  const file = join(await temporaryFolder(), "links.jsonl");
  const first = await LinkStore.open(file);
  const { link } = await first.create("https://example.org/");
  first.visit(link.code);
  await first.close();
  await writeFile(file, '{"code":"bcdfghjk","url":"https://exa', { flag: "a" });
  const second = await LinkStore.open(file);
  expect(second.get(link.code)).toEqual({ ...link, visits: 1 });
  expect(await second.create("https://example.org/")).toMatchObject({ created: false, link: { code: link.code } });
  const { link: later } = await second.create("https://example.org/later");
  const third = await LinkStore.open(file);
  expect(third.get(later.code)?.url).toBe("https://example.org/later");
});
