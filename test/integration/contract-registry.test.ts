import { expect, test } from "vitest";
import { ContractHost, PlainProvider, type ServiceToRegister } from "../support/contract-host.js";

const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, ""]));

test.each<{ service: ServiceToRegister; field: string }>([
  { service: { serviceType: "" }, field: "service_type" },
  { service: { serviceType: "9lives" }, field: "service_type" },
  { service: { serviceType: "a b" }, field: "service_type" },
  { service: { serviceType: "a..b" }, field: "service_type" },
  { service: { serviceType: "a/b" }, field: "service_type" },
  { service: { serviceType: "ä" }, field: "service_type" },
  { service: { serviceType: "a".repeat(129) }, field: "service_type" },
  { service: { version: "" }, field: "version" },
  { service: { version: "1.2" }, field: "version" },
  { service: { version: "v1.2.3" }, field: "version" },
  { service: { version: "latest" }, field: "version" },
  { service: { version: ` 1.2.3` }, field: "version" },
  { service: { version: `1.2.3-${"a".repeat(59)}` }, field: "version" },
  { service: { endpointPath: "x" }, field: "endpoint_path" },
  { service: { endpointPath: "/a?b" }, field: "endpoint_path" },
  { service: { endpointPath: "/a#b" }, field: "endpoint_path" },
  { service: { endpointPath: "/%61" }, field: "endpoint_path" },
  { service: { endpointPath: "/a\\b" }, field: "endpoint_path" },
  { service: { endpointPath: "/a/../b" }, field: "endpoint_path" },
  { service: { endpointPath: "/a\nb" }, field: "endpoint_path" },
  { service: { endpointPath: "/a b" }, field: "endpoint_path" },
  { service: { endpointPath: `/${"a".repeat(256)}` }, field: "endpoint_path" },
  { service: { metadata: many(101) }, field: "metadata" },
  { service: { metadata: { "": "x" } }, field: "metadata key" },
  { service: { metadata: { "9": "x" } }, field: "metadata key" },
  { service: { metadata: { ["k".repeat(257)]: "x" } }, field: "metadata key" },
  { service: { metadata: { k: "v".repeat(4_097) } }, field: "metadata.k" },
  { service: { metadata: { health_path: "@127.0.0.1:1/admin" } }, field: "metadata.health_path" },
  { service: { metadata: { health_path: "/a b" } }, field: "metadata.health_path" },
  { service: { metadata: { base_url: "nowhere" } }, field: "metadata.base_url" },
  { service: { metadata: { base_url: "ftp://127.0.0.1" } }, field: "metadata.base_url" },
  { service: { metadata: { base_url: "http://127.0.0.1:1?x" } }, field: "metadata.base_url" },
  { service: { metadata: { base_url: "http://u@127.0.0.1:1" } }, field: "metadata.base_url" },
  { service: { metadata: { base_url: "http://192.0.2.1:1" } }, field: "metadata.base_url" },
  { service: { metadata: { base_url: "http://127.example.org:1" } }, field: "metadata.base_url" },
  { service: { metadata: { base_url: "unix:relative" } }, field: "metadata.base_url" },
  { service: { metadata: { base_url: "http://127.0.0.1:1", protocols: "h9" } }, field: "metadata.protocols" },
])("registering $service is refused, names $field, and changes nothing", async ({ service, field }) => {
  await using host = await ContractHost.start();
  const member = await host.join("logger");
  const reply = await member.register(service);
  expect(reply).toMatchObject({ status: 400, code: "invalid_argument" });
  expect(reply.message.startsWith(`${field} `)).toBe(true);
  expect(host.platform.registry.services()).toEqual([]);
  // And the plugin goes on as if nothing had happened.
  expect((await member.register()).code).toBeUndefined();
});

test.each<{ what: string; service: ServiceToRegister }>([
  { what: "type", service: { serviceType: `a${"-".repeat(127)}` } },
  { what: "version", service: { version: `1.2.3-${"a".repeat(58)}` } },
  { what: "path", service: { endpointPath: `/${"a".repeat(255)}` } },
  { what: "number of metadata entries", service: { metadata: many(100) } },
  { what: "metadata key", service: { metadata: { ["k".repeat(256)]: "x" } } },
  { what: "metadata value", service: { metadata: { k: "v".repeat(4_096) } } },
])("the longest $what that is allowed is allowed", async ({ service }) => {
  await using host = await ContractHost.start();
  expect((await (await host.join("logger")).register(service)).code).toBeUndefined();
});

test("the option baseUrls widens where a plugin may listen", async () => {
  await using host = await ContractHost.start({ baseUrls: "any" });
  const member = await host.join("logger");
  expect((await member.register({ metadata: { base_url: "http://192.0.2.1:1" } })).code).toBeUndefined();
});

test("all services of one plugin listen at one address", async () => {
  await using host = await ContractHost.start();
  const member = await host.join("logger");
  await member.register({ metadata: { base_url: "http://127.0.0.1:1001" } });
  const reply = await member.register({ serviceType: "other", metadata: { base_url: "http://127.0.0.1:1002" } });
  expect(reply).toMatchObject({ code: "invalid_argument", message: expect.stringContaining("metadata.base_url") });
});

test("the same type, version and path again is an update with the same registration id", async () => {
  await using host = await ContractHost.start();
  const member = await host.join("logger");
  const first = await member.register({ metadata: { zone: "a" } });
  const again = await member.register({ metadata: { zone: "b" } });
  expect(first.body.registrationId).toMatch(/^reg-[0-9a-f]+$/);
  expect(again.body.registrationId).toBe(first.body.registrationId);
  await member.report("healthy");
  expect((await member.discover("logger")).body.endpoint.metadata).toEqual({ zone: "b" });
});

test("another version stands beside the first: the short path goes to the highest, the full path to its own", async () => {
  await using provider = await PlainProvider.start();
  await using host = await ContractHost.start();
  const member = await host.join("logger");
  const metadata = { base_url: provider.url };
  const first = await member.serve({ version: "1.9.0", endpointPath: "/log.v1.Logger/", metadata });
  const second = await member.serve({ version: "1.10.0", endpointPath: "/log.v2.Logger/", metadata });
  expect(second).not.toBe(first);
  const base = `/services/logger/${member.runtimeId}`;
  for (const rest of ["Log", "log.v1.Logger/Log", "log.v2.Logger/Log"]) await member.call(`${base}/${rest}`);
  expect(provider.requests.map(({ url }) => url)).toEqual([
    "/log.v2.Logger/Log",
    "/log.v1.Logger/Log",
    "/log.v2.Logger/Log",
  ]);
  await member.rpc("UnregisterService", { registrationId: second });
  await member.call(`${base}/Log`);
  expect(provider.requests.at(-1)?.url).toBe("/log.v1.Logger/Log");
});

test("at the limit of registrations of one plugin the next is refused, and an update is not", async () => {
  await using host = await ContractHost.start({ maxRegistrationsPerPlugin: 1 });
  const member = await host.join("logger");
  await member.register();
  expect((await member.register({ version: "2.0.0" })).code).toBe("resource_exhausted");
  expect((await member.register({ metadata: { a: "b" } })).code).toBeUndefined();
});

test("a plugin takes back its own registrations only", async () => {
  await using host = await ContractHost.start();
  const [owner, other] = [await host.join("logger"), await host.join("thief")];
  const registrationId = await owner.serve();
  expect(await other.rpc("UnregisterService", { registrationId })).toMatchObject({
    code: "permission_denied",
    status: 403,
  });
  expect((await other.rpc("UnregisterService", { registrationId: "reg-0" })).code).toBe("not_found");
  expect((await owner.discover("logger")).code).toBeUndefined();
  expect((await owner.rpc("UnregisterService", { registrationId })).body).toEqual({});
  expect((await owner.discover("logger")).code).toBe("not_found");
  expect((await owner.rpc("UnregisterService", { registrationId })).code).toBe("not_found");
});

test("a type that a plugin does not offer is not found under its id, though it offers others", async () => {
  await using provider = await PlainProvider.start();
  await using host = await ContractHost.start();
  const member = await host.join("bundle");
  const metadata = { base_url: provider.url };
  await member.serve({ serviceType: "alpha", endpointPath: "/alpha/", metadata });
  await member.serve({ serviceType: "beta", endpointPath: "/beta/", metadata });
  const other = await host.join("other");
  await other.serve({ serviceType: "gamma", metadata });
  const at = (type: string, id: string) => member.call(`/services/${type}/${id}/x`);
  expect((await at("alpha", member.runtimeId)).status).toBe(200);
  expect((await at("beta", member.runtimeId)).status).toBe(200);
  expect(provider.requests.map(({ url }) => url)).toEqual(["/alpha/x", "/beta/x"]);
  for (const [type, id] of [
    ["gamma", member.runtimeId],
    ["alpha", other.runtimeId],
    ["delta", member.runtimeId],
  ] as const) {
    expect(await at(type, id)).toMatchObject({ status: 404, text: expect.stringContaining("does not offer") });
  }
  expect((await at("alpha", "nobody-1")).status).toBe(404);
});

test("an endpoint URL is relative, names type and provider, and has no slash at its end", async () => {
  await using host = await ContractHost.start();
  const member = await host.join("logger");
  await member.serve({ version: "1.2.3", endpointPath: "/log.v1.Logger", metadata: { zone: "a", weight: "3" } });
  const { body } = await member.discover("logger");
  expect(body).toEqual({
    endpoint: {
      providerId: member.runtimeId,
      version: "1.2.3",
      endpointUrl: `/services/logger/${member.runtimeId}`,
      metadata: { zone: "a", weight: "3" },
    },
    singleProvider: true,
  });
});

test("single_provider is about those that satisfy the request now", async () => {
  await using host = await ContractHost.start();
  const [one, two] = [await host.join("logger"), await host.join("logger")];
  await one.serve({ version: "1.0.0" });
  await two.serve({ version: "2.0.0" });
  const single = async (range: string) => (await one.discover("logger", range)).body.singleProvider ?? false;
  expect([await single(""), await single("2.0.0"), await single("^1")]).toEqual([false, true, true]);
  await two.report("unhealthy");
  expect(await single("")).toBe(true);
});

test.each([
  { min: "1.9.0", version: "1.10.0", why: "numbers, not text" },
  { min: "^1.9", version: "1.10.0", why: "an npm range" },
  { min: "2.0.0", version: "2.0.0", why: "a minimum is good enough" },
  { min: "1.x || 3.x", version: "1.10.0", why: "an npm range" },
])("minimum $min finds $version: $why", async ({ min, version }) => {
  await using host = await ContractHost.start();
  const [one, two] = [await host.join("a"), await host.join("b")];
  await one.serve({ version: "1.10.0" });
  await two.serve({ version: "2.0.0" });
  expect((await one.discover("logger", min)).body.endpoint.version).toBe(version);
});

test("not_found says which of three it was", async () => {
  await using host = await ContractHost.start();
  const member = await host.join("logger");
  await member.serve({ version: "1.0.0" });
  const why = async (type: string, range = "") => {
    const { code, status, message } = await member.discover(type, range);
    expect({ code, status }).toEqual({ code: "not_found", status: 404 });
    return message;
  };
  expect(await why("cache")).toContain('no plugin provides "cache"');
  expect(await why("logger", "^2")).toMatch(/no provider of "logger" satisfies "\^2"; there is 1\.0\.0/);
  await member.report("unhealthy", "disk full");
  expect(await why("logger")).toMatch(/can take calls now.*disk full/);
});

test.each([
  { message: { serviceType: "9" }, field: "service_type" },
  { message: { serviceType: "" }, field: "service_type" },
  { message: { serviceType: "logger", minVersion: "new" }, field: "min_version" },
  { message: { serviceType: "logger", minVersion: "1".repeat(257) }, field: "min_version" },
])("discovering $message is refused and names $field", async ({ message, field }) => {
  await using host = await ContractHost.start();
  const member = await host.join("logger");
  await member.serve();
  const reply = await member.rpc("DiscoverService", message);
  expect(reply.code).toBe("invalid_argument");
  expect(reply.message.startsWith(`${field} `)).toBe(true);
});

test("healthy providers are found before degraded ones, and unhealthy ones never", async () => {
  await using host = await ContractHost.start();
  const [one, two] = [await host.join("a"), await host.join("b")];
  await one.serve();
  await two.serve();
  await one.report("degraded");
  expect((await one.discover("logger")).body.endpoint.providerId).toBe(two.runtimeId);
  await two.report("unhealthy");
  expect((await one.discover("logger")).body.endpoint.providerId).toBe(one.runtimeId);
});

test("a registration without base_url is discoverable, and routing to it is 503 with that reason", async () => {
  await using host = await ContractHost.start();
  const member = await host.join("listed");
  await member.serve();
  expect((await member.discover("logger")).code).toBeUndefined();
  const answer = await member.call(`/services/logger/${member.runtimeId}/Log`);
  expect(answer).toMatchObject({ status: 503, text: expect.stringContaining("base_url") });
  expect(answer.headers["retry-after"]).toBe("1");
});

test("a base_url with a slash at its end, a path in it, or two slashes before the rest lead to the right place", async () => {
  await using provider = await PlainProvider.start();
  await using host = await ContractHost.start();
  const member = await host.join("logger");
  await member.serve({ endpointPath: "/log", metadata: { base_url: `${provider.url}/base/` } });
  await member.call(`//services/logger/${member.runtimeId}//x//y?a=1`);
  expect(provider.requests.map(({ url }) => url)).toEqual(["/base/log/x//y?a=1"]);
});

test.each([
  { state: "HEALTH_STATE_HEALTHY", becomes: "healthy" },
  { state: "HEALTH_STATE_DEGRADED", becomes: "degraded" },
  { state: "HEALTH_STATE_UNHEALTHY", becomes: "unhealthy" },
  { state: 2, becomes: "degraded" },
])("a report of $state makes the plugin $becomes", async ({ state, becomes }) => {
  await using host = await ContractHost.start();
  const member = await host.join("logger");
  await member.register();
  const reports: unknown[] = [];
  host.platform.on("health", ({ health }) => reports.push(health));
  const reply = await member.rpc("ReportHealth", { state, reason: "because", unavailableDependencies: ["db"] });
  expect(reply.body).toEqual({});
  expect(reports).toEqual([
    expect.objectContaining({ state: becomes, cause: "reported", reason: "because", unavailableDependencies: ["db"] }),
  ]);
  expect(host.platform.plugin(member.runtimeId)).toMatchObject({ health: becomes, reason: "because" });
});

test("unspecified is no report, and a number that is no state is refused", async () => {
  await using host = await ContractHost.start();
  const member = await host.join("logger");
  await member.serve();
  await member.report("degraded", "tired");
  expect((await member.rpc("ReportHealth", { reason: "x" })).body).toEqual({});
  const refused = await member.rpc("ReportHealth", { state: 99 });
  expect(refused).toMatchObject({ code: "invalid_argument", message: expect.stringMatching(/^state .*99/) });
  expect(host.platform.plugin(member.runtimeId)).toMatchObject({ health: "degraded", reason: "tired" });
});
