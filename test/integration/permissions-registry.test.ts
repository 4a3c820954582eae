import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import type { PermissionPolicy } from "../../src/index.js";
import { definePlugin, servePlugin } from "../../src/plugin/index.js";
import { runHere } from "../support/cli.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { type Caller, startHost, type TestHost } from "../support/host.js";
import { echoPlugin, startFakePlugin } from "../support/plugins.js";

type Declaration = Parameters<TestHost["handshake"]>[3];

const joined = async (host: TestHost, declaration: Declaration): Promise<Caller> =>
  host.callerAs(await host.handshake("app", "", undefined, declaration));

/** `ok`, or code, the host's own code and message of the failure. */
async function outcome(work: Promise<unknown>) {
  try {
    await work;
    return "ok";
  } catch (error) {
    const { code, metadata, rawMessage } = ConnectError.from(error);
    return { code: Code[code], own: metadata.get("error-code"), message: rawMessage };
  }
}

const refused = (message: RegExp) => ({
  code: "PermissionDenied",
  own: "NOT_DECLARED",
  message: expect.stringMatching(message),
});

const firstOf = async (events: AsyncIterable<unknown>): Promise<void> => {
  for await (const _ of events) return;
};

const acts: readonly { readonly name: string; readonly act: (app: Caller) => Promise<unknown> }[] = [
  { name: "discovers", act: ({ registry }) => registry.discoverService({ serviceType: "echo" }) },
  { name: "watches", act: ({ registry }) => firstOf(registry.watchService({ serviceType: "echo" })) },
];

describe.each(acts)("a plugin that $name a type", ({ act }) => {
  test.each([
    { declaration: { requires: [{ type: "echo" }] }, policy: "declared", missing: undefined, why: "it is declared" },
    {
      declaration: { requires: [{ type: "echo", methods: ["Say"] }] },
      policy: "declared",
      missing: undefined,
      why: "one of its methods is declared",
    },
    {
      declaration: { requires: [{ type: "other" }] },
      policy: "declared",
      missing: /^app-\w+ does not declare that it requires "echo"; add \{ type: "echo" \} to its requires$/,
      why: "another is declared",
    },
    { declaration: undefined, policy: "declared", missing: undefined, why: "it has said nothing" },
    { declaration: undefined, policy: "strict", missing: /has not said what it requires/, why: "it has said nothing" },
    { declaration: { requires: [] }, policy: "off", missing: undefined, why: "nobody is held to anything" },
  ] satisfies readonly {
    declaration: Declaration;
    policy: PermissionPolicy;
    missing: RegExp | undefined;
    why: string;
  }[])("$policy: $why", async ({ declaration, policy, missing }) => {
    await using host = await startHost({ permissions: policy });
    await host.platform.addPlugin({ module: echoPlugin() });
    const app = await joined(host, declaration);
    expect(await outcome(act(app))).toEqual(missing === undefined ? "ok" : refused(missing));
  });
});

describe("a plugin that registers a type", () => {
  const service = { version: "1.0.0", endpointPath: "/", metadata: {} };

  test.each([
    { declaration: { provides: [{ type: "echo", version: "1.0.0" }] }, policy: "declared", missing: undefined },
    {
      declaration: { provides: [{ type: "echo", version: "7.0.0", path: "/elsewhere/" }] },
      policy: "declared",
      missing: undefined,
    },
    {
      declaration: { provides: [{ type: "other", version: "1.0.0" }] },
      policy: "declared",
      missing: /^app-\w+ does not declare that it provides "echo"; add \{ type: "echo" \} to its provides$/,
    },
    { declaration: {}, policy: "declared", missing: /does not declare that it provides "echo"/ },
    { declaration: undefined, policy: "declared", missing: undefined },
    { declaration: undefined, policy: "strict", missing: /has not said what it provides/ },
    { declaration: {}, policy: "off", missing: undefined },
  ] satisfies readonly {
    declaration: Declaration;
    policy: PermissionPolicy;
    missing: RegExp | undefined;
  }[])("with $declaration under $policy", async ({ declaration, policy, missing }) => {
    await using host = await startHost({ permissions: policy });
    const { registry } = await joined(host, declaration);
    expect(await outcome(registry.registerService({ serviceType: "echo", ...service }))).toEqual(
      missing === undefined ? "ok" : refused(missing),
    );
    expect(host.platform.registry.services().map(({ type }) => type)).toEqual(missing === undefined ? ["echo"] : []);
  });

  test("loses it, with a warning, if it turns out later that it does not declare it", async () => {
    await using host = await startHost();
    await using plugin = await startFakePlugin({ id: "app", type: "echo" });
    const { registry } = await joined(host, undefined);
    const metadata = { base_url: plugin.url };
    // Both at once: the second must be there before the host can have asked.
    await Promise.all(
      ["echo", "sly"].map((serviceType) => registry.registerService({ serviceType, ...service, metadata })),
    );
    const types = () => host.platform.registry.services().map(({ type }) => type);
    await host.until(() => types().join() === "echo");
    expect(host.warnings).toEqual([
      expect.stringMatching(/app-\w+ does not declare that it provides "sly".* taken back/),
    ]);
    expect(await outcome(registry.registerService({ serviceType: "sly", ...service, metadata }))).toEqual(
      refused(/provides "sly"/),
    );
  });
});

test("what is declared in the handshake is checked like every declaration", async () => {
  await using host = await startHost();
  const join = (declaration: Declaration) => outcome(host.handshake("app", "", undefined, declaration));
  expect(await join({ requires: [{ type: "1st" }] })).toMatchObject({
    message: /^declaration\.requires\[0\]\.type must/,
  });
  expect(await join({ requires: [{ type: "kv", methods: ["Get", "/Put"] }] })).toMatchObject({
    code: "InvalidArgument",
    message: expect.stringMatching(/^declaration\.requires\[0\]\.methods\[1\] must be "Method"/),
  });
  expect(await join({ requires: Array.from({ length: 101 }, () => ({ type: "kv" })) })).toMatchObject({
    message: expect.stringMatching(/^declaration\.requires has 101 entries/),
  });
});

test("an identity that is renewed keeps what it declared first", async () => {
  await using host = await startHost();
  await host.platform.addPlugin({ module: echoPlugin() });
  const first = await host.handshake("app", "", undefined, { requires: [] });
  const renewed = await host.handshake("app", "", first, { requires: [{ type: "echo" }] });
  expect(renewed.runtimeId).toBe(first.runtimeId);
  expect(await host.callerAs(renewed).providerOf("any")).toBe("permission_denied");
});

test("what a plugin uses without having said so is shown as observed, what it declared as declared", async () => {
  await using host = await startHost();
  await host.platform.addPlugin({ module: echoPlugin() });
  const silent = await joined(host, undefined);
  await silent.registry.discoverService({ serviceType: "echo" });
  const open = await joined(host, { requires: [{ type: "echo", methods: ["Say"] }] });
  await open.registry.discoverService({ serviceType: "echo" });
  const requiresOf = ({ identity }: Caller) => host.platform.plugin(identity.runtimeId).requires;
  expect(requiresOf(silent)).toEqual([
    { type: "echo", minVersion: "", required: false, watch: false, source: "observed" },
  ]);
  expect(requiresOf(open)).toEqual([
    { type: "echo", minVersion: "", required: false, watch: false, methods: ["Say"], source: "declared" },
  ]);
});

test("operators see methods, and which dependencies were only observed", async () => {
  const adminToken = "operators-secret-token";
  await using host = await startHost({ adminToken });
  await host.platform.addPlugin({ module: echoPlugin() });
  await (await joined(host, undefined)).registry.discoverService({ serviceType: "echo" });
  await (await joined(host, { requires: [{ type: "echo", methods: ["Say"] }] })).registry.discoverService({
    serviceType: "echo",
  });
  const answer = await fetch(`${host.url}/connectplugin.admin.v1.PlatformService/ListPlugins`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${adminToken}` },
    body: "{}",
  });
  const { plugins } = (await answer.json()) as { plugins: { selfId: string; requires?: unknown }[] };
  const apps = plugins.filter(({ selfId }) => selfId === "app").map(({ requires }) => requires);
  expect(apps).toEqual([[{ type: "echo", observed: true }], [{ type: "echo", methods: ["Say"] }]]);
  const variables = { CONNECT_PLUGIN_HOST_URL: host.url, CONNECT_PLUGIN_HOST_ADMIN_TOKEN: adminToken };
  const { stdout } = await runHere(["plugins"], { variables });
  const [title, ...rows] = stdout.trimEnd().split("\n");
  expect(title).toContain("UNDECLARED");
  expect(rows.filter((row) => /^app-.* echo /.test(row))).toHaveLength(1);
});

test("where nobody is held to anything, what a plugin uses beyond its declaration is observed", async () => {
  await using host = await startHost({ permissions: "off" });
  await host.platform.addPlugin({ module: echoPlugin() });
  const app = await joined(host, { requires: [{ type: "other" }] });
  expect(await app.providerOf("any")).toBe("echo@1.0.0");
  const requires = host.platform.plugin(app.identity.runtimeId).requires.map(({ type, source }) => `${source} ${type}`);
  expect(requires).toEqual(["declared other", "observed echo"]);
});

test("a capability that plugins provide is called by its grant, without a declaration of the service behind it", async () => {
  await using host = await startHost({
    capabilities: [{ type: "voice", version: "1.0.0", serviceType: "echo" }],
  });
  await host.platform.addPlugin({ module: echoPlugin() });
  const app = await joined(host, { requires: [] });
  expect(await app.providerOf("any")).toBe("permission_denied");
  const ask = "/connectplugin.v1.CapabilityBroker/RequestCapability";
  const { text } = await host.post(ask, { capabilityType: "voice" }, app.identity);
  const { grant } = JSON.parse(text) as { grant: { endpointUrl: string; bearerToken: string } };
  const answer = await fetch(`${grant.endpointUrl}/Say`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${grant.bearerToken}` },
    body: JSON.stringify({ text: "hi" }),
  });
  expect(await answer.json()).toEqual({ text: "hi", provider: "echo@1.0.0" });
});

test.each(["declared", "strict"] as const)(
  "a plugin of the SDK is held to its methods, however it is run, on a host that is %s",
  async (permissions) => {
    const caller = definePlugin({
      id: "caller",
      version: "1.0.0",
      requires: { echo: { service: Echo, methods: ["Say"], required: false } },
      provides: { relay: { service: Echo } },
      setup: (plugin) => ({
        relay: {
          say: ({ text }) => plugin.client("echo").say({ text }),
          async *serverStream({ text, count }) {
            // Its type has no such method.
            const client = plugin.client("echo") as Client<typeof Echo>;
            yield* client.serverStream({ text, count });
          },
          clientStream: async () => ({ text: "", count: 0 }),
          async *bidiStream() {},
        },
      }),
    });
    await using host = await startHost({ permissions });
    await host.platform.addPlugin({ module: echoPlugin() });
    const relay = host.platform.client(Echo, { type: "relay" });
    const check = async (): Promise<void> => {
      expect((await relay.say({ text: "hi" })).provider).toBe("echo@1.0.0");
      expect(await outcome(firstOf(relay.serverStream({ text: "x", count: 1 })))).toMatchObject({
        code: "PermissionDenied",
        message: expect.stringMatching(/does not declare that it calls "ServerStream" of "echo", only Say/),
      });
    };
    const healthy = () =>
      host.until(() =>
        host.platform.plugins().some(({ selfId, health }) => selfId === "caller" && health === "healthy"),
      );

    const module = await host.platform.addPlugin({ module: caller });
    await check();
    await host.platform.removePlugin(module.runtimeId);

    const endpoint = await servePlugin(caller, { env: {}, graceMs: 500 });
    const managed = await host.platform.addPlugin({ endpoint: endpoint.url });
    await check();
    await host.platform.removePlugin(managed.runtimeId);
    await endpoint.stop();

    const joining = await servePlugin(caller, { hostUrl: host.url, env: {}, graceMs: 500 });
    await healthy();
    await check();
    await joining.stop();
  },
);
