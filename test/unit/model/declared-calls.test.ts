import { expect, test } from "vitest";
import type { ServiceDependency } from "../../../src/model/declarations.js";
import { type CalledPath, declaredCalls, isDeclaredMethod } from "../../../src/model/declared-calls.js";

const called = (path: string, endpointPath: string, from = 0): CalledPath => ({
  path,
  from,
  registration: { path: endpointPath },
});

test.each([
  { method: "Get", at: "/kv.v1.Kv/", path: "/kv.v1.Kv/Get", ok: true, why: "the method's name alone" },
  { method: "Get", at: "/kv.v1.Kv/", path: "/kv.v1.Kv/GetAll", ok: false, why: "a name is not a beginning" },
  { method: "Get", at: "/kv.v1.Kv/", path: "/kv.v1.Kv/BudGet", ok: false, why: "a name is not an end" },
  { method: "Get", at: "/kv.v1.Kv/", path: "/kv.v1.Kv/get", ok: false, why: "case counts" },
  { method: "Get", at: "/kv.v1.Kv/", path: "/kv.v1.Kv/Get/", ok: false, why: "a slash more is another path" },
  { method: "Get", at: "/kv.v1.Kv/", path: "/kv.v1.Kv/%47et", ok: false, why: "what is escaped is not the same" },
  { method: "Get", at: "/kv.v1.Kv/", path: "/kv.v1.Kv/Delete/Get", ok: false, why: "below another method" },
  { method: "Get", at: "/kv.v1.Kv/", path: "/kv.v1.Kv/a.b/Get", ok: true, why: "below a name that can be a service's" },
  { method: "Get", at: "/", path: "/kv.v1.Kv/Get", ok: true, why: "a service below the endpoint path" },
  { method: "Get", at: "/", path: "/kv/Get", ok: false, why: "a folder is no service" },
  { method: "Get", at: "/", path: "/Get", ok: true, why: "plain HTTP at the root" },
  { method: "kv.v1.Kv/Get", at: "/kv.v1.Kv/", path: "/kv.v1.Kv/Get", ok: true, why: "the whole path" },
  { method: "kv.v1.Kv/Get", at: "/", path: "/kv.v1.Kv/Get", ok: true, why: "the whole path, mounted at the root" },
  { method: "kv.v1.Kv/Get", at: "/x/kv.v1.Kv/", path: "/x/kv.v1.Kv/Get", ok: true, why: "wherever it is mounted" },
  { method: "v1.Kv/Get", at: "/kv.v1.Kv/", path: "/kv.v1.Kv/Get", ok: false, why: "not half of a name" },
  { method: "kv.v1.Kv/Get", at: "/x/", path: "/x/evil/kv.v1.Kv/Get", ok: false, why: "the caller cannot choose where" },
  { method: "kv.v1.Kv/Get", at: "/kv.v1.Admin/", path: "/kv.v1.Admin/Get", ok: false, why: "another service" },
  { method: "kv.v1.Kv/", at: "/kv.v1.Kv/", path: "/kv.v1.Kv/Delete", ok: true, why: "every method of the service" },
  { method: "kv.v1.Kv/", at: "/", path: "/kv.v1.KvAdmin/Delete", ok: false, why: "a service's name ends at the slash" },
  { method: "kv.v1.Kv/", at: "/x/kv.v1.Kv/", path: "/x/kv.v1.Kv/Delete", ok: true, why: "a service, mounted" },
  { method: "items/7", at: "/api/", path: "/api/items/7", ok: true, why: "a path below the endpoint path" },
  { method: "api/items/7", at: "/api/", path: "/api/items/7", ok: true, why: "the whole path, plain HTTP" },
  { method: "items/7", at: "/api/", path: "/api/items/70", ok: false, why: "another item" },
  { method: "items/", at: "/api/", path: "/api/items/7/parts", ok: true, why: "all below" },
  { method: "items/", at: "/api/", path: "/api/items/", ok: true, why: "the folder itself" },
  { method: "items/", at: "/api/", path: "/api/items", ok: false, why: "without its slash it is something else" },
  { method: "items/", at: "/api/", path: "/api/secret/items/7", ok: false, why: "not below that folder" },
  {
    method: "kv.v1.Kv/Get",
    at: "/kv.v1.Kv/",
    path: "/base/kv.v1.Kv/Get",
    from: 5,
    ok: true,
    why: "behind a base path",
  },
  {
    method: "Get",
    at: "/kv.v1.Kv/",
    path: "/base/kv.v1.Kv/Get",
    from: 5,
    ok: true,
    why: "its name behind a base path",
  },
  { method: "base/Get", at: "/", path: "/base/Get", from: 5, ok: false, why: "the base path is the host's business" },
  { method: "Check", at: "/kv.v1.Kv/", path: "/grpc.health.v1.Health/Check", ok: false, why: "beside the service" },
  {
    method: "grpc.health.v1.Health/Check",
    at: "/kv.v1.Kv/",
    path: "/grpc.health.v1.Health/Check",
    ok: true,
    why: "beside the service, by its whole name",
  },
])("$method at $at is $path: $ok ($why)", ({ method, at, path, from, ok }) => {
  expect(isDeclaredMethod([method], called(path, at, from))).toBe(ok);
  expect(isDeclaredMethod(["Nothing", method], called(path, at, from))).toBe(ok);
});

const dependency = (
  type: string,
  methods?: readonly string[],
  more?: Partial<ServiceDependency>,
): ServiceDependency => ({
  type,
  minVersion: "",
  required: true,
  watch: false,
  source: "declared",
  ...(methods && { methods }),
  ...more,
});

test.each([
  { requires: [dependency("kv", ["Get"])], kv: ["Get"], why: "one dependency" },
  { requires: [dependency("kv", ["Get"]), dependency("kv", ["Put"])], kv: ["Get", "Put"], why: "both of two" },
  { requires: [dependency("kv", ["Get"]), dependency("kv")], kv: undefined, why: "one of them has all" },
  { requires: [dependency("kv"), dependency("kv", ["Get"])], kv: undefined, why: "one of them has all, in any order" },
  { requires: [dependency("kv", [])], kv: undefined, why: "an empty list is all" },
])("methods of one type come together: $why", ({ requires, kv }) => {
  expect([...declaredCalls(requires)]).toEqual([["kv", kv]]);
});

test("what was only observed is no declaration", () => {
  expect(declaredCalls([dependency("kv", undefined, { source: "observed" })]).size).toBe(0);
});
