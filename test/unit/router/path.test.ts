import { describe, expect, test } from "vitest";
import { isServicePath, parseServicePath, parseTarget, parseTargetHeader, targetOf } from "../../../src/router/path.js";
import { upstreamPath } from "../../../src/router/upstream-path.js";
import { registrationRecord } from "../../support/router-host.js";

const route = (serviceType: string, runtimeId: string | undefined, rest: string, query = "") => ({
  kind: "target",
  serviceType,
  runtimeId,
  rest,
  query,
});

test.each([
  { target: "/services/logger/logger-1/Log", is: route("logger", "logger-1", "Log"), why: "the plain form" },
  { target: "/services/logger/any/Log", is: route("logger", undefined, "Log"), why: "any" },
  { target: "/services/logger/any", is: route("logger", undefined, ""), why: "no rest" },
  {
    target: "/services/logger/any?a=/b",
    is: route("logger", undefined, "", "?a=/b"),
    why: "a slash in the query is no rest",
  },
  { target: "/services/logger/any/", is: route("logger", undefined, ""), why: "an empty rest" },
  { target: "/services/logger/any//Log", is: route("logger", undefined, "Log"), why: "folded in front of the rest" },
  {
    target: "//services/logger/any/Log",
    is: route("logger", undefined, "Log"),
    why: "HOST_URL with a slash at its end",
  },
  { target: "/services/logger/any/a//b", is: route("logger", undefined, "a//b"), why: "not folded within" },
  {
    target: "/services/logger/any/a%20b%C3%A4?x=%2F..",
    is: route("logger", undefined, "a%20b%C3%A4", "?x=%2F.."),
    why: "escapes stay",
  },
  {
    target: "/services/log%67er/a%6Ey/x",
    is: route("logger", undefined, "x"),
    why: "type and id are compared after decoding",
  },
  { target: "/services/logger/any/..a/.b/c.", is: route("logger", undefined, "..a/.b/c."), why: "dots that are names" },
  {
    target: "/services/logger/any/%FF",
    is: route("logger", undefined, "%FF"),
    why: "bytes that are no UTF-8 are the provider's business",
  },
  {
    target: "/services/logger/any/connectpluginx/y",
    is: route("logger", undefined, "connectpluginx/y"),
    why: "not the reserved package",
  },
])("$target is read ($why)", ({ target, is }) => expect(parseServicePath(target)).toEqual(is));

test.each([
  { target: "/services/logger/any/..", why: "the parent" },
  { target: "/services/logger/any/a/./b", why: "itself" },
  { target: "/services/logger/any/%2e%2E/x", why: "an escaped parent" },
  { target: "/services/logger/any/.%2e", why: "a half escaped parent" },
  { target: "/services/logger/any/a%2Fb", why: "an escaped slash" },
  { target: "/services/logger/any/a%5cb", why: "an escaped backslash" },
  { target: "/services/logger/any/a\\b", why: "a raw backslash" },
  { target: "/services/logger/any/a%00", why: "NUL" },
  { target: "/services/logger/any/a%", why: "a cut escape" },
  { target: "/services/logger/any/a%zz", why: "an escape that is none" },
  { target: "/services/logger/any/connectplugin.v1.PluginControl/Shutdown", why: "a service for the host" },
  { target: "/services/logger/any/connectplugin%2ev1.PluginControl/Shutdown", why: "the same, escaped" },
  {
    target: "/services/logger/any/x/ConnectPlugin.v1.PluginControl/Shutdown",
    why: "the same, deeper and in another case",
  },
  { target: "/services/logger/any//connectplugin.v1.PluginControl/Shutdown", why: "the same behind a folded slash" },
  { target: "/services/logger/any?q=ä", why: "raw UTF-8 in the query" },
  { target: "/services/logger/any/\u00e4", why: "raw bytes in the path" },
  { target: "/services/logger/any/x#y", why: "a fragment" },
  { target: "/services/logger", why: "no id" },
  { target: "/services/logger/", why: "an empty id" },
  { target: "/services//any/x", why: "an empty type" },
  { target: "/services/1logger/any/x", why: "a type that breaks the rules" },
  { target: "/services/lo%2Fgger/any/x", why: "a slash in the type" },
  { target: "/services/logger/..%2f/x", why: "a slash in the id" },
  { target: "/services/logger/%2e%2e/x", why: "dots as the id" },
  { target: "/services/logger?/any/x", why: "a query where the id should be" },
  { target: "http://h/services/logger/any/x", why: "an absolute target" },
])("$target is refused ($why)", ({ target }) => expect(parseServicePath(target).kind).toBe("bad-path"));

test("a bare path goes where X-Plugin-Target says, and a service path where it says itself", () => {
  expect(parseTargetHeader("logger/any", "/logger.v1.Logger/Log?x")).toEqual(
    route("logger", undefined, "logger.v1.Logger/Log", "?x"),
  );
  expect(parseTargetHeader("logger/l-1", "/x")).toEqual(route("logger", "l-1", "x"));
  for (const bad of ["logger", "logger/", "/any", "a/b/c", "logger/any, logger/any", "log%67er/any"]) {
    expect(parseTargetHeader(bad, "/x").kind).toBe("bad-path");
  }
  const header = () => "other/any";
  expect(parseTarget({ target: "/services/logger/any/x", header })).toEqual(route("logger", undefined, "x"));
  expect(parseTarget({ target: "/x", header })).toEqual(route("other", undefined, "x"));
  expect(parseTarget({ target: "/x", header: () => undefined }).kind).toBe("bad-path");
});

test("only /services/ is the router's own path", () => {
  expect(["/services/", "//services/x", "///services/x"].map(isServicePath)).toEqual([true, true, true]);
  expect(["/services", "/service/", "/x/services/", "services/"].map(isServicePath)).toEqual([
    false,
    false,
    false,
    false,
  ]);
});

test("a target that the host chose is checked like any other", () => {
  expect(targetOf("logger", "any", "/a/b?c")).toEqual(route("logger", undefined, "a/b", "?c"));
  expect(targetOf("logger", "l-1", "/a/%2e%2e").kind).toBe("bad-path");
  expect(targetOf("logger", "l-1", "/connectplugin.v1.PluginControl/Shutdown").kind).toBe("bad-path");
});

describe("the path on the provider", () => {
  const v2 = registrationRecord({ registrationId: "v2", version: "2.0.0", path: "/logger.v2.Logger/" });
  const v1 = registrationRecord({ registrationId: "v1", version: "1.0.0", path: "/logger.v1.Logger/" });
  const root = registrationRecord({ registrationId: "root", path: "/" });
  const api = registrationRecord({ registrationId: "api", path: "/api/v1/" });
  test.each([
    { have: [v1], rest: "Log", path: "/logger.v1.Logger/Log", id: "v1", why: "the short form" },
    { have: [v1], rest: "logger.v1.Logger/Log", path: "/logger.v1.Logger/Log", id: "v1", why: "not doubled" },
    {
      have: [v1],
      rest: "logger.v1.LoggerX/Log",
      path: "/logger.v1.Logger/logger.v1.LoggerX/Log",
      id: "v1",
      why: "only at a segment boundary",
    },
    { have: [v1], rest: "", path: "/logger.v1.Logger/", id: "v1", why: "an empty rest" },
    { have: [v2, v1], rest: "Log", path: "/logger.v2.Logger/Log", id: "v2", why: "the short form goes to the highest" },
    {
      have: [v2, v1],
      rest: "logger.v1.Logger/Log",
      path: "/logger.v1.Logger/Log",
      id: "v1",
      why: "the full path goes to its own",
    },
    {
      have: [root],
      rest: "logger.v1.Logger/Log",
      path: "/logger.v1.Logger/Log",
      id: "root",
      why: "a service at the root",
    },
    {
      have: [api],
      rest: "api/v1/x",
      path: "/api/v1/api/v1/x",
      id: "api",
      why: "another form of path is always put in front",
    },
  ])("$rest is $path ($why)", ({ have, rest, path, id }) => {
    expect(upstreamPath(have, "", rest)).toMatchObject({ path, registration: { registrationId: id } });
    expect(upstreamPath(have, "/base", rest)).toMatchObject({ path: `/base${path}` });
  });

  test("never leads to a service that the host alone may call, whoever registered it", () => {
    const bad = registrationRecord({ path: "/connectplugin.v1.PluginControl/" });
    expect(upstreamPath([bad], "", "Shutdown")).toEqual(expect.any(String));
    expect(upstreamPath([root], "/connectplugin%2ev1.PluginControl", "Shutdown")).toEqual(expect.any(String));
  });
});
