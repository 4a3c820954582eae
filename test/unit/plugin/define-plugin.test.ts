import { describe, expect, test } from "vitest";
import { definePlugin } from "../../../src/plugin/define-plugin.js";
import { echoOnly } from "../../support/echo-plugin.js";
import { Echo } from "../../support/gen/echo/v1/echo_pb.js";

const good = {
  id: "cache-plugin",
  version: "1.2.0",
  provides: { cache: { service: Echo } },
  requires: { logger: { service: Echo, minVersion: "1.0.0" } },
  setup: () => ({ cache: echoOnly("cache") }),
};

describe("a definition", () => {
  test("fills in versions, paths and requirements, and tells them as a hosted module", () => {
    const plugin = definePlugin({
      ...good,
      provides: { cache: { service: Echo }, web: { handler: "fetch", version: "3.0.0" } },
      requires: { logger: {}, store: { minVersion: "^2", required: false } },
      setup: () => ({ cache: echoOnly("cache"), web: () => new Response() }),
    });
    expect(plugin).toMatchObject({ id: "cache-plugin", version: "1.2.0" });
    expect(plugin.declares.provides).toMatchObject([
      { type: "cache", version: "1.2.0", path: "/echo.v1.Echo/" },
      { type: "web", version: "3.0.0", path: "/" },
    ]);
    expect(plugin.declares.requires).toMatchObject([
      { type: "logger", minVersion: "", required: true, watch: true, source: "declared" },
      { type: "store", minVersion: "^2", required: false, watch: true, source: "declared" },
    ]);
  });

  test("leaves the caller's object as it is, and later changes of it are not seen", () => {
    const metadata = { team: "a" };
    const given = Object.freeze({ ...good, metadata });
    const plugin = definePlugin(given);
    metadata.team = "b";
    expect(plugin.definition.metadata).toEqual({ team: "a" });
    expect(Object.isFrozen(plugin.definition)).toBe(true);
  });

  test.each([
    { change: { id: "" }, field: "id", why: "a plugin needs a name" },
    { change: { id: "a b" }, field: "id", why: "no spaces" },
    { change: { version: "1.2" }, field: "version", why: "not a semantic version" },
    { change: { version: "v1.2.0" }, field: "version", why: "no leading v" },
    { change: { setup: undefined }, field: "setup", why: "nothing would run" },
    { change: { metadata: { "bad key": "x" } }, field: "metadata key", why: "keys are names" },
    { change: { identityWaitMs: -1 }, field: "identityWaitMs", why: "no negative times" },
    {
      change: { provides: { "a/b": { service: Echo } } },
      field: "provides.a/b (service type)",
      why: "types are names",
    },
    { change: { provides: { a: { service: {} } } }, field: "provides.a.service", why: "not a description" },
    { change: { provides: { a: { handler: "express" } } }, field: "provides.a.handler", why: "unknown kind" },
    { change: { provides: { a: { service: Echo, version: "x" } } }, field: "provides.a.version", why: "not a version" },
    {
      change: { provides: { a: { service: Echo, path: "/x/" } } },
      field: "provides.a.path",
      why: "must end with the type",
    },
    { change: { provides: { a: { handler: "node", path: "x" } } }, field: "provides.a.path", why: "must begin with /" },
    {
      change: { provides: { a: { service: Echo }, b: { service: Echo } } },
      field: "provides.b.path",
      why: "two services at one path",
    },
    {
      change: { provides: { a: { handler: "node", path: "/connectplugin.v1.PluginControl/" } } },
      field: "provides.a.path",
      why: "the plugin's own services are there",
    },
    { change: { identityWait: 5 }, field: "identityWait", why: "there is no such option" },
    { change: { provides: { a: { service: Echo, paths: "/" } } }, field: "provides.a.paths", why: "no such option" },
    { change: { provides: { a: "Echo" } }, field: "provides.a", why: "no object" },
    { change: { requires: { a: { optional: true } } }, field: "requires.a.optional", why: "that is required: false" },
    { change: { requires: { a: { required: "no" } } }, field: "requires.a.required", why: "every text is true" },
    { change: { requires: { "..": {} } }, field: "requires... (service type)", why: "types are names" },
    { change: { requires: { a: { minVersion: "latest please" } } }, field: "requires.a.minVersion", why: "no range" },
    { change: { requires: { a: { service: "Echo" } } }, field: "requires.a.service", why: "not a description" },
    {
      change: { requires: { a: { service: Echo, methods: ["ServerStream", "say"] } } },
      field: "requires.a.methods",
      why: "on the wire it is Say",
    },
  ])("refuses $change: $why", ({ change, field }) => {
    const define = () => definePlugin({ ...good, ...change } as unknown as typeof good);
    expect(define).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT", field }));
  });

  test("allows one description under two types with a path of its own each", () => {
    const plugin = definePlugin({
      ...good,
      provides: { a: { service: Echo }, b: { service: Echo, path: "/second/echo.v1.Echo" } },
      setup: () => ({ a: echoOnly("a"), b: echoOnly("b") }),
    });
    expect(plugin.declares.provides.map(({ path }) => path)).toEqual(["/echo.v1.Echo/", "/second/echo.v1.Echo/"]);
  });
});
