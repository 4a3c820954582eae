import { expect, test } from "vitest";
import { systemClock } from "../../src/internal/clock.js";
import { LaunchNonces } from "../../src/launch/launch-nonces.js";
import { ProcessPorts } from "../../src/launch/process-ports.js";
import { resolveLimits } from "../../src/limit-options.js";
import { type PluginSpec, type SourceContext, toDeclaration, toStartSpec } from "../../src/plugin-source.js";

const context: SourceContext = {
  limits: resolveLimits("limits", { drainMs: 77 }),
  hostUrl: () => "http://127.0.0.1:4000",
  connectHost: () => {
    throw new Error("nobody connects here");
  },
  processes: {
    clock: systemClock,
    nonces: new LaunchNonces(),
    ports: new ProcessPorts(),
    hostUrlFor: () => "http://127.0.0.1:4000",
    environment: {},
  },
  workers: {
    clock: systemClock,
    environment: {},
    openLink: () => {
      throw new Error("nothing is started here");
    },
  },
};

const endpoint = "http://127.0.0.1:4001";
const module = { start: () => Promise.reject(new Error("nobody starts it")) };
const toSpec = (spec: unknown) => toStartSpec(spec as PluginSpec, context);

test.each<{ spec: unknown; field: string }>([
  { spec: undefined, field: "source" },
  { spec: null, field: "source" },
  { spec: "http://127.0.0.1:4001", field: "source" },
  { spec: {}, field: "source" },
  { spec: { endpoint, module }, field: "source" },
  { spec: { module: {} }, field: "source" },
  { spec: { module: null }, field: "source" },
  { spec: { endpoint: 5 }, field: "endpoint" },
  { spec: { endpoint: new URL(endpoint) }, field: "endpoint" },
  { spec: { endpoint: "127.0.0.1:4001" }, field: "endpoint" },
  { spec: { endpoint: "ftp://127.0.0.1" }, field: "endpoint" },
  { spec: { endpoint: `${endpoint}?a=1` }, field: "endpoint" },
  { spec: { endpoint: "unix:relative" }, field: "endpoint" },
  { spec: { endpoint, signal: {} }, field: "signal" },
  { spec: { endpoint, limits: { drainMs: -1 } }, field: "limits.drainMs" },
  { spec: { endpoint, limits: { drainms: 1 } }, field: "limits.drainms" },
  { spec: { endpoint, declares: null }, field: "declares" },
  { spec: { endpoint, declares: {} }, field: "declares.selfId" },
  { spec: { endpoint, declares: { selfId: "9" } }, field: "declares.selfId" },
  { spec: { endpoint, declares: { selfId: "a", selfVersion: 1 } }, field: "declares.selfVersion" },
  { spec: { endpoint, declares: { selfId: "a", selfVersion: "v1" } }, field: "declares.selfVersion" },
  { spec: { endpoint, declares: { selfId: "a", provides: {} } }, field: "declares.provides" },
  { spec: { endpoint, declares: { selfId: "a", provides: ["x"] } }, field: "declares.provides[0]" },
  {
    spec: { endpoint, declares: { selfId: "a", provides: [{ version: "1.0.0" }] } },
    field: "declares.provides[0].type",
  },
  { spec: { endpoint, declares: { selfId: "a", provides: [{ type: "x" }] } }, field: "declares.provides[0].version" },
  {
    spec: { endpoint, declares: { selfId: "a", provides: [{ type: "x", version: "1.0.0", path: "x" }] } },
    field: "declares.provides[0].path",
  },
  { spec: { endpoint, declares: { selfId: "a", requires: [null] } }, field: "declares.requires[0]" },
  {
    spec: { endpoint, declares: { selfId: "a", requires: [{ type: "x", minVersion: "new" }] } },
    field: "declares.requires[0].minVersion",
  },
  { spec: { endpoint, declares: { selfId: "a", metadata: { k: 5 } } }, field: "declares.metadata.k" },
  { spec: { endpoint, declares: { selfId: "a", metadata: { protocols: "h9" } } }, field: "metadata.protocols" },
])("$spec is refused by the name $field", ({ spec, field }) => {
  expect(() => toSpec(spec)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT", field }));
});

test("an endpoint's address and protocols come from the spec, limits that are not given from the platform", () => {
  const { launcher, declares, limits } = toSpec({
    endpoint: `${endpoint}/base/`,
    declares: { selfId: "a", metadata: { protocols: "h1,h2c" } },
    limits: { graceMs: 1 },
  });
  expect(launcher.address).toEqual({ kind: "http", url: `${endpoint}/base`, protocols: ["h1", "h2c"] });
  expect(declares?.selfId).toBe("a");
  expect(limits).toMatchObject({ graceMs: 1, drainMs: 77 });
});

test("what a declaration leaves out is filled in", () => {
  expect(
    toDeclaration({ selfId: "a", provides: [{ type: "x", version: "1.0.0" }], requires: [{ type: "y" }] }),
  ).toEqual({
    selfId: "a",
    selfVersion: "",
    provides: [{ type: "x", version: "1.0.0", path: "/" }],
    requires: [{ type: "y", minVersion: "", required: true, watch: false, source: "declared" }],
    metadata: {},
  });
});
