import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Code, type ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { expect, onTestFinished, test } from "vitest";
import { Platform } from "../../src/index.js";
import { hostSecretOf } from "../../src/model/host-secret.js";
import { definePlugin, type PluginEvent, type ServeOptions, servePlugin } from "../../src/plugin/index.js";
import { echoOnly } from "../support/echo-plugin.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";

const secretHeader = "x-plugin-host-secret";

/** Says what it was called with. */
const mirror = definePlugin({
  id: "mirror",
  version: "1.0.0",
  provides: {
    fetched: { handler: "fetch", path: "/fetched/" },
    noded: { handler: "node", path: "/noded/" },
    echo: { service: Echo },
  },
  setup: () => ({
    fetched: (request) => Response.json(Object.fromEntries(request.headers)),
    noded: (req, res) => res.end(JSON.stringify({ ...req.headers, raw: req.rawHeaders.join(" ").toLowerCase() })),
    echo: echoOnly("mirror"),
  }),
});

async function start(options: Partial<ServeOptions> = {}) {
  const platform = new Platform({
    ingress: ["fetched", "noded"].map((type) => ({ prefix: `/${type}`, type, access: "open" as const })),
  });
  onTestFinished(() => platform.stop());
  await platform.listen({ port: 0 });
  const hostUrl = platform.url ?? "";
  const events: PluginEvent[] = [];
  const onEvent = (event: PluginEvent): void => void events.push(event);
  // Without a link every call comes to the port.
  const plugin = await servePlugin(mirror, { hostUrl, env: {}, link: "off", onEvent, ...options });
  onTestFinished(() => plugin.stop({ graceMs: 0 }));
  return { platform, plugin, hostUrl, events };
}

const post = (url: string, headers: Readonly<Record<string, string>> = {}, body = "{}") =>
  fetch(url, { method: "POST", headers: { "content-type": "application/json", ...headers }, body });

/** What the handler got as headers. */
const headersOf = async (answer: Response): Promise<Record<string, string>> => {
  expect(answer.status).toBe(200);
  return (await answer.json()) as Record<string, string>;
};

test.each(["fetched", "noded"])(
  "the host gets through to a plugin, whose %s handler does not see the secret",
  async (type) => {
    const { hostUrl } = await start();
    const headers = await headersOf(await post(`${hostUrl}/${type}/x`, { [secretHeader]: "of-the-caller" }));
    expect(headers["x-plugin-service"]).toBe(type);
    expect(JSON.stringify(headers)).not.toContain("host-secret");
  },
);

test.each([
  { what: "a service", path: "/fetched/x" },
  { what: "a service of Connect", path: "/echo.v1.Echo/Say" },
  { what: "an identity", path: "/connectplugin.v1.PluginIdentity/SetRuntimeIdentity" },
  { what: "its state", path: "/connectplugin.v1.PluginControl/GetHealth" },
  { what: "a shutdown", path: "/connectplugin.v1.PluginControl/Shutdown" },
])("another process that asks a plugin directly for $what is refused, and told why", async ({ path }) => {
  const { plugin, platform } = await start();
  for (const headers of [{}, { [secretHeader]: "a-guess" }, { "x-plugin-caller-id": "admin" }]) {
    const answer = await post(`${plugin.url}${path}`, headers as Record<string, string>);
    expect(answer.status).toBe(403);
    expect(await answer.json()).toEqual({
      code: "permission_denied",
      message: expect.stringContaining("takes calls from its host only"),
    });
  }
  expect(platform.plugins().map(({ runtimeId }) => runtimeId)).toEqual([plugin.runtimeId]);
});

test("who comes over gRPC is refused in gRPC", async () => {
  const { plugin } = await start();
  const client = createClient(Echo, createGrpcTransport({ baseUrl: plugin.url }));
  const error = await client.say({ text: "hi" }).catch((thrown: unknown) => thrown as ConnectError);
  expect(error).toMatchObject({ code: Code.PermissionDenied, rawMessage: expect.stringContaining("through the host") });
});

test("what a plugin is, and whether it is well, is for everybody", async () => {
  const { plugin } = await start();
  const info = await post(`${plugin.url}/connectplugin.v1.PluginIdentity/GetPluginInfo`);
  expect(await info.json()).toMatchObject({ selfId: "mirror" });
  const health = await post(`${plugin.url}/connectplugin.health.v1.HealthService/Check`);
  expect(health.status).toBe(200);
});

test("a plugin that allows direct calls does not let them say who they are, nor act as the host", async () => {
  const { plugin } = await start({ directCalls: "allow" });
  const forged = { "x-plugin-caller-id": "admin", "X-Plugin_Caller-Self-ID": "admin", "x-other": "kept" };
  for (const type of ["fetched", "noded"]) {
    const headers = await headersOf(await post(`${plugin.url}/${type}/x`, forged));
    expect(headers["x-other"]).toBe("kept");
    expect(JSON.stringify(headers)).not.toContain("admin");
  }
  expect((await post(`${plugin.url}/connectplugin.v1.PluginControl/Shutdown`)).status).toBe(403);
});

test("calls get through after the identity was renewed", async () => {
  const { hostUrl, events } = await start({ renewMs: 30 });
  const renewed = () => events.filter((event) => event.kind === "identified" && event.renewed).length;
  await expect.poll(renewed).toBeGreaterThanOrEqual(3);
  await headersOf(await post(`${hostUrl}/fetched/x`));
});

test("calls of a new host at the same place get through, and nothing that the old one knew does", async () => {
  const { platform, plugin, hostUrl } = await start({ heartbeatMs: 20, backOff: { firstMs: 5, longestMs: 20 } });
  const before = plugin.runtimeId;
  const { port } = new URL(hostUrl);
  await platform.stop();
  const next = new Platform({ ingress: [{ prefix: "/", type: "fetched", access: "open" }] });
  onTestFinished(() => next.stop());
  await next.listen({ port: Number(port) });
  await expect.poll(() => next.plugins().length, { timeout: 5_000 }).toBe(1);
  expect(plugin.runtimeId).not.toBe(before);
  await expect.poll(async () => (await post(`${hostUrl}/x`)).status).toBe(200);
  expect((await post(`${plugin.url}/fetched/x`)).status).toBe(403);
});

test("a plugin that is added by its URL shares nothing with the host: it gets no secret, and takes calls as ever", async () => {
  const { platform } = await start();
  const other = definePlugin({
    id: "other",
    version: "1.0.0",
    provides: { other: { handler: "fetch", path: "/other/" } },
    setup: () => ({ other: (request) => Response.json(Object.fromEntries(request.headers)) }),
  });
  const endpoint = await servePlugin(other, { env: {} });
  onTestFinished(() => endpoint.stop({ graceMs: 0 }));
  await platform.addPlugin({ endpoint: endpoint.url });
  const direct = await headersOf(await post(`${endpoint.url}/other/x`, { [secretHeader]: "of-somebody" }));
  expect(Object.keys(direct)).not.toContain(secretHeader);
  const seen: string[] = [];
  const bare = createServer((req, res) => {
    seen.push(...Object.keys(req.headers));
    res.end("{}");
  }).listen(0, "127.0.0.1");
  onTestFinished(() => void bare.close());
  await once(bare, "listening");
  const { port } = bare.address() as AddressInfo;
  const declares = { selfId: "bare", provides: [{ type: "bare", version: "1.0.0" }] };
  await platform.addPlugin({ endpoint: `http://127.0.0.1:${port}`, declares });
  const call = await platform
    .client(Echo, { type: "bare" })
    .say({ text: "x" })
    .catch(() => "called");
  expect(call).toBeDefined();
  expect(seen).toContain("x-plugin-service");
  expect(seen).not.toContain(secretHeader);
});

test("a launched program knows its host by the launch before it has ever reached it", async () => {
  const nonce = "n".repeat(43);
  let url = "";
  const onEvent = (event: PluginEvent): void => {
    if (event.kind === "listening") url = event.url;
  };
  // Nobody listens there.
  const env = {
    HOST_URL: `http://127.0.0.1:1/_launch/${nonce}`,
    HOST_FEATURES: "host-secret",
    HOSTNAME: "127.0.0.1",
    PORT: "0",
  };
  const serving = servePlugin(mirror, { env, onEvent, startTimeoutMs: 5_000 }).catch(() => {});
  await expect.poll(() => url).not.toBe("");
  const shutdown = `${url}/connectplugin.v1.PluginControl/Shutdown`;
  expect((await post(shutdown)).status).toBe(403);
  expect((await post(shutdown, { [secretHeader]: nonce })).status).toBe(403);
  expect(await (await post(shutdown, { [secretHeader]: hostSecretOf(nonce) })).json()).toEqual({ acknowledged: true });
  await serving;
});
