import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { PluginLifecycle } from "../../src/gen/connectplugin/v1/lifecycle_pb.js";
import { ServiceRegistry } from "../../src/gen/connectplugin/v1/registry_pb.js";
import {
  ContractHost,
  identityHeaders,
  type Member,
  PlainProvider,
  type ProtocolName,
  protocolNames,
} from "../support/contract-host.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { manualClock } from "../support/manual-clock.js";

type Headers = Readonly<Record<string, string>>;

interface Scene {
  readonly host: ContractHost;
  readonly owner: Member;
  readonly other: Member;
  readonly registrationId: string;
}

/** Every API that acts for a plugin, called in any protocol with any headers. */
const apis: Record<string, (scene: Scene, protocol: ProtocolName, headers: Headers) => Promise<unknown>> = {
  RegisterService: ({ host }, protocol, headers) =>
    host.client(ServiceRegistry, { protocol, headers }).registerService({ serviceType: "x", version: "1.0.0" }),
  UnregisterService: ({ host, registrationId }, protocol, headers) =>
    host.client(ServiceRegistry, { protocol, headers }).unregisterService({ registrationId }),
  DiscoverService: ({ host }, protocol, headers) =>
    host.client(ServiceRegistry, { protocol, headers }).discoverService({ serviceType: "logger" }),
  WatchService: async ({ host }, protocol, headers) => {
    for await (const event of host
      .client(ServiceRegistry, { protocol, headers })
      .watchService({ serviceType: "logger" })) {
      return event;
    }
    return undefined;
  },
  ReportHealth: ({ host }, protocol, headers) =>
    host.client(PluginLifecycle, { protocol, headers }).reportHealth({ state: 3 }),
  "a routed call": ({ host, owner }, protocol, headers) =>
    host.client(Echo, { protocol, headers, path: `/services/logger/${owner.runtimeId}` }).say({ text: "hi" }),
  "a routed stream": async ({ host }, protocol, headers) => {
    for await (const event of host.client(Echo, { protocol, headers, path: "/services/logger/any" }).serverStream({})) {
      return event;
    }
    return undefined;
  },
};

const credentials: Record<string, (scene: Scene) => Headers> = {
  "no credentials": () => ({}),
  "no token": ({ owner }) => ({ "x-plugin-runtime-id": owner.runtimeId }),
  "no runtime id": ({ owner }) => ({ authorization: owner.headers.authorization ?? "" }),
  "a wrong token": ({ owner }) => identityHeaders({ runtimeId: owner.runtimeId, token: "A".repeat(43) }),
  "somebody else's token": ({ owner, other }) => ({
    ...owner.headers,
    authorization: other.headers.authorization ?? "",
  }),
  "an id of nobody": ({ owner }) => ({ ...owner.headers, "x-plugin-runtime-id": "logger-0000000000000000" }),
  "two ids": ({ owner }) => ({ ...owner.headers, "x-plugin-runtime-id": `${owner.runtimeId}, ${owner.runtimeId}` }),
  "another scheme": ({ owner }) => ({
    ...owner.headers,
    authorization: (owner.headers.authorization ?? "").replace("Bearer", "Basic"),
  }),
  "the join token": () => ({ authorization: "Bearer join-token-1" }),
};

async function scene(host: ContractHost, baseUrl: string): Promise<Scene> {
  const owner = await host.join("logger");
  const registrationId = await owner.serve({ metadata: { base_url: baseUrl } });
  return { host, owner, other: await host.join("other"), registrationId };
}

const everyApi = Object.keys(apis);
const everyCredential = Object.keys(credentials);
const cases = protocolNames.flatMap((protocol) => everyApi.map((api) => ({ protocol, api })));

const codeOf = async (call: Promise<unknown>): Promise<string> => {
  try {
    await call;
    return "ok";
  } catch (error) {
    return Code[ConnectError.from(error).code] as string;
  }
};

test.each(cases)("$api in $protocol takes no bad credentials, and changes nothing", async ({ protocol, api }) => {
  await using provider = await PlainProvider.start();
  await using host = await ContractHost.start({ joinToken: "join-token-1" });
  const all = await scene(host, provider.url);
  const before = host.platform.registry.services();
  const codes: Record<string, string> = {};
  for (const name of everyCredential) {
    codes[name] = await codeOf(
      (apis[api] as (typeof apis)[string])(all, protocol, (credentials[name] as (typeof credentials)[string])(all)),
    );
  }
  expect(codes).toEqual(Object.fromEntries(everyCredential.map((name) => [name, "Unauthenticated"])));
  expect(host.platform.registry.services()).toEqual(before);
  expect(provider.requests).toEqual([]);
  expect(host.warnings).toEqual([]);
});

test.each(everyApi)("%s refuses a token that has expired", async (api) => {
  const clock = manualClock();
  await using provider = await PlainProvider.start();
  // Nothing counts as a sign of life here but the calls of the test.
  await using host = await ContractHost.start({ tokenTtlMs: 60_000, clock, health: { intervalMs: 1e9 } });
  const all = await scene(host, provider.url);
  const later = await host.join("late");
  clock.advance(59_000);
  // A call is a sign of life: the token lives on.
  expect((await later.rpc("ReportHealth", {})).code).toBeUndefined();
  clock.advance(1_000);
  const call = (headers: Headers) => codeOf((apis[api] as (typeof apis)[string])(all, "Connect", headers));
  expect(await call(all.other.headers)).toBe("Unauthenticated");
  expect((await later.rpc("ReportHealth", {})).code).toBeUndefined();
});

test.each(everyApi)("%s refuses the token of a plugin that was removed", async (api) => {
  await using provider = await PlainProvider.start();
  await using host = await ContractHost.start();
  const all = await scene(host, provider.url);
  await all.other.serve({ serviceType: "else", metadata: { base_url: provider.url } });
  await host.platform.removePlugin(all.other.runtimeId);
  const call = (apis[api] as (typeof apis)[string])(all, "Connect", all.other.headers);
  expect(await codeOf(call)).toBe("Unauthenticated");
});

test("the token of a plugin that is being removed is good until its calls in flight have ended", async () => {
  await using provider = await PlainProvider.start();
  await using host = await ContractHost.start();
  const { owner, other } = await scene(host, provider.url);
  let finish = (): void => {};
  const arrived = new Promise<void>((resolve) =>
    provider.answers((exchange) => {
      finish = () => exchange.respond(204, [], true);
      resolve();
    }),
  );
  const call = other.call(`/services/logger/${owner.runtimeId}/x`);
  await arrived;
  const unregistered = new Promise<void>((resolve) => host.platform.on("unregistered", () => resolve()));
  const removed = host.platform.removePlugin(owner.runtimeId);
  await unregistered;
  // What it is still working on may need others.
  expect((await owner.discover("logger")).code).toBe("not_found");
  expect(await owner.register({ serviceType: "more" })).toMatchObject({ code: "permission_denied" });
  finish();
  expect((await call).status).toBe(204);
  await removed;
  expect((await owner.discover("logger")).code).toBe("unauthenticated");
});

test("a good identity is good on every API, in every protocol", async () => {
  await using provider = await PlainProvider.start();
  provider.answers((exchange) => exchange.respond(418, [], true));
  await using host = await ContractHost.start();
  const all = await scene(host, provider.url);
  for (const protocol of protocolNames) {
    for (const api of everyApi) {
      const code = await codeOf((apis[api] as (typeof apis)[string])(all, protocol, all.other.headers));
      // Not its own registration; and the provider here is a teapot.
      if (api === "UnregisterService") expect(code).toBe("PermissionDenied");
      else if (api.startsWith("a routed")) expect(["Unknown", "Unimplemented", "Internal"], api).toContain(code);
      else expect(code, `${api} in ${protocol}`).toBe("ok");
      if (api === "ReportHealth") await all.owner.report("healthy");
    }
  }
});

test("no refusal repeats a token", async () => {
  await using host = await ContractHost.start();
  const member = await host.join("logger");
  const token = "s3cret-s3cret-s3cret";
  for (const headers of [
    identityHeaders({ runtimeId: member.runtimeId, token }),
    { authorization: `Bearer ${token}` },
  ]) {
    for (const name of ["DiscoverService", "ReportHealth", "/services/a/any/x"]) {
      expect(JSON.stringify(await host.rpc(name, {}, headers))).not.toContain(token);
    }
  }
  expect(JSON.stringify(await host.rpc("Handshake", {}, {}, `/_join/${token}`))).not.toContain(token);
});
