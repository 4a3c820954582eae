import { once } from "node:events";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, onTestFinished, test } from "vitest";
import { runCli } from "../../src/cli/run-cli.js";
import { createAuthority } from "../support/certificates.js";
import { fakeEnvironment } from "../support/cli.js";
import { PlainProvider } from "../support/contract-host.js";
import { within } from "../support/http-server.js";

const adminToken = "an-admin-token-of-tests";
const listPlugins = "/connectplugin.admin.v1.PlatformService/ListPlugins";

/** A host of `serve` in this process, in a folder of its own. */
async function serve(config: string, args: readonly string[] = [], files: Readonly<Record<string, string>> = {}) {
  const folder = await mkdtemp(join(tmpdir(), "serve-test-"));
  const put = async (name: string, contents: string) => {
    await writeFile(join(folder, `${name}.new`), contents);
    await rename(join(folder, `${name}.new`), join(folder, name));
  };
  for (const [name, contents] of Object.entries({ ...files, "host.yaml": config })) await put(name, contents);
  const environment = fakeEnvironment({ workingDirectory: folder });
  const wakers = new Set<() => void>();
  const wired = (name: "stdout" | "stderr") => ({
    ...environment[name],
    write: (line: string) => {
      environment[name].write(line);
      for (const wake of wakers) wake();
    },
  });
  const streams = { stdout: wired("stdout"), stderr: wired("stderr") };
  const ended = runCli(["serve", "--json", "--config", "host.yaml", ...args], { ...environment, ...streams });
  const printed = (expected: string): Promise<void> =>
    within(
      15_000,
      `"${expected}" in ${JSON.stringify(environment.printed)}`,
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (!`${environment.printed.stdout}${environment.printed.stderr}`.includes(expected)) return;
          wakers.delete(look);
          resolve();
        };
        wakers.add(look);
        void ended.then(() => reject(new Error(environment.printed.stderr)));
        look();
      }),
    );
  onTestFinished(async () => {
    environment.signal("SIGTERM");
    await ended;
    await rm(folder, { recursive: true, force: true });
  });
  await printed('"url"');
  const [line = ""] = environment.printed.stdout.split("\n");
  return {
    ...(JSON.parse(line) as { url: string; adminUrl: string | null }),
    put,
    printed,
    reload: environment.reload,
  };
}

/** A GET that trusts `ca` only. */
async function get(url: string, ca?: string, headers: Record<string, string> = {}, method = "GET", body?: string) {
  const request = https.request(url, { ca, headers, method, agent: false });
  request.end(body);
  const [answer] = await within(5_000, url, once(request, "response"));
  return { status: answer.statusCode as number, text: await text(answer) };
}

test("users of an exposed service show their tokens, and its provider learns their names but not the tokens", async () => {
  await using provider = await PlainProvider.start();
  const host = await serve(`
ingress:
  - { prefix: /open, type: plain }
  - prefix: /
    type: plain
    users: { alice: token-of-alice-123, bob: token-of-bob-45678 }
plugins:
  - endpoint: ${provider.url}
    declares: { selfId: plain, provides: [{ type: plain, version: 1.0.0 }], metadata: { health_path: /well } }
`);
  await host.printed("the plugin of the configuration started");
  const basic = (name: string, token: string) => `Basic ${Buffer.from(`${name}:${token}`).toString("base64")}`;
  const ask = async (path: string, authorization?: string) => {
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
    const answer = await within(5_000, path, fetch(`${host.url}${path}`, { headers }));
    await answer.text();
    return answer.status;
  };
  provider.requests.length = 0;
  for (const bad of [
    undefined,
    "Bearer token-of-alice-12",
    basic("bob", "token-of-alice-123"),
    basic("", ""),
    "Bearer",
  ])
    expect(await ask("/x", bad)).toBe(401);
  expect(provider.requests.filter(({ url }) => url !== "/well")).toEqual([]);
  expect(await ask("/x", "Bearer token-of-alice-123")).toBe(200);
  expect(await ask("/x", basic("bob", "token-of-bob-45678"))).toBe(200);
  expect(await ask("/open/x")).toBe(200);
  const seen = provider.requests.filter(({ url }) => url !== "/well");
  expect(seen.map(({ headers }) => headers["x-plugin-caller-id"])).toEqual(["ingress:alice", "ingress:bob", "ingress"]);
  expect(seen.map(({ headers }) => headers.authorization)).toEqual([undefined, undefined, undefined]);
});

test("links may be limited or turned off, and capabilities offered", async () => {
  const off = await serve("link: false\n");
  const limited = await serve(
    "link: { maxLinks: 1, maxStreams: 10 }\ngrants: { allowAnonymous: true }\ncapabilities:\n  - { type: storage, version: 1.0.0, serviceType: files }\n",
  );
  const request = async (url: string) => {
    const answer = await fetch(`${url}/connectplugin.v1.CapabilityBroker/RequestCapability`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ capabilityType: "storage" }),
    });
    return answer.status;
  };
  expect([await request(off.url), await request(limited.url)]).toEqual([expect.not.toSatisfy((s) => s === 200), 200]);
});

const authority = createAuthority();
const filesOf = ({ cert, key }: { cert: string; key: string }) => ({ "host.pem": cert, "host.key": key });

test("the admin service has a port of its own with the host's certificate, which changes with the files", async () => {
  const first = authority.issue();
  const files = { ...filesOf(first) };
  const config = `adminToken: ${adminToken}\ntls: { cert: host.pem, key: host.key }\n`;
  const host = await serve(config, ["--admin-listen", "127.0.0.1:0"], files);
  expect(host.adminUrl).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
  const url = `${host.adminUrl}${listPlugins}`;
  const headers = { authorization: `Bearer ${adminToken}`, "content-type": "application/json" };
  expect(await get(url, authority.ca, headers, "POST", "{}")).toMatchObject({ status: 200 });
  expect(await get(url, authority.ca, { "content-type": "application/json" }, "POST", "{}")).toMatchObject({
    status: 401,
  });
  const other = createAuthority("Other");
  for (const [name, contents] of Object.entries(filesOf(other.issue()))) await host.put(name, contents);
  host.reload();
  await host.printed("the certificate was read again");
  expect(await get(url, other.ca, headers, "POST", "{}")).toMatchObject({ status: 200 });
  await expect(get(url, authority.ca, headers, "POST", "{}")).rejects.toThrow(/certificate/);
});

test("certificates towards providers are read again when their files change, for all providers and for one", async () => {
  const next = createAuthority("Next");
  const servers = [0, 1].map(() => https.createServer(authority.issue(), (_req, res) => void res.end("ok")));
  for (const server of servers) {
    server.on("tlsClientError", () => {}).listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
  }
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  const plugin = (index: number, more: string) =>
    `  - endpoint: https://127.0.0.1:${ports[index]}
    declares: { selfId: p${index}, provides: [{ type: p${index}, version: 1.0.0 }], metadata: { health_path: / } }${more}\n`;
  const host = await serve(
    `router: { idleSocketMs: 0, tls: { ca: all.pem } }
health: { fallThreshold: 100, ejectAfterFailures: 100 }
ingress: [{ prefix: /p0, type: p0 }, { prefix: /p1, type: p1 }]
plugins:\n${plugin(0, "")}${plugin(1, "\n    tls: { ca: one.pem }")}`,
    [],
    { "all.pem": authority.ca, "one.pem": authority.ca },
  );
  await host.printed("all 2 plugins");
  const statuses = async () => [(await fetch(`${host.url}/p0/`)).status, (await fetch(`${host.url}/p1/`)).status];
  expect(await statuses()).toEqual([200, 200]);
  for (const server of servers) server.setSecureContext(next.issue());
  expect(await statuses()).toEqual([502, 502]);
  await host.put("all.pem", next.ca);
  await host.printed("the certificate setup of router.tls was read again");
  expect(await statuses()).toEqual([200, 502]);
  await host.put("one.pem", "nonsense");
  await host.printed("the certificate setup of plugins[1].tls stays as it is");
  await host.put("one.pem", next.ca);
  await host.printed("the certificate setup of plugins[1].tls was read again");
  expect(await statuses()).toEqual([200, 200]);
});

test.each([
  {
    config: "ingress: [{ prefix: /, type: app, users: { a: short } }]",
    says: /1:\d+: ingress\[0\]\.users\.a must have at least 16/,
  },
  { config: "ingress: [{ prefix: /, type: app, users: {} }]", says: /ingress\[0\]\.users must name somebody/ },
  {
    config: "ingress: [{ prefix: /, type: app, users: { a: 1234567890123456, b: 1234567890123456 } }]",
    says: /users\.a must be a text/,
  },
  {
    config: 'ingress: [{ prefix: /, type: app, users: { a: "1234567890123456", b: "1234567890123456" } }]',
    says: /users\.b must not be the token of a/,
  },
  { config: "link: true", says: /1:\d+: link / },
  { config: "plugins: [{ command: x, tls: { ca: x } }]", says: /plugins\[0\]\.tls belongs to an `endpoint`/ },
  { config: "adminListen: unix:x", says: /--admin-listen must be HOST:PORT/ },
  { config: "capabilities: [{ type: a, version: 1.0.0 }]", says: /capabilities\[0\]\.serviceType is missing/ },
])("serve with $config says what is wrong", async ({ config, says }) => {
  const folder = await mkdtemp(join(tmpdir(), "serve-test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, "host.yaml"), `${config}\n`);
  const environment = fakeEnvironment({ workingDirectory: folder });
  expect(await runCli(["serve", "--config", "host.yaml"], environment)).toBe(2);
  expect(environment.printed.stderr).toMatch(says);
});
