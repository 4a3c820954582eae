import { describe, expect, test } from "vitest";
import type { PluginDeclaration } from "../../../src/model/declarations.js";
import {
  callRefusal,
  type PermissionPolicy,
  type Permissions,
  permissionsOf,
  registrationRefusal,
  unknownPermissions,
} from "../../../src/model/permissions.js";

const declaration = (more: Partial<PluginDeclaration>): PluginDeclaration => ({
  selfId: "app",
  selfVersion: "",
  provides: [],
  requires: [],
  metadata: {},
  ...more,
});
const needs = (type: string, ...methods: string[]) => ({
  type,
  minVersion: "",
  required: true,
  watch: false,
  methods,
  source: "declared" as const,
});
const known = permissionsOf(
  declaration({
    provides: [{ type: "app", version: "1.0.0", path: "/" }],
    requires: [needs("kv"), needs("log", "Write", "Flush")],
  }),
);
const path = (method: string) => ({ path: `/log.v1.Log/${method}`, from: 0, registration: { path: "/log.v1.Log/" } });
const of = (permissions: Permissions, policy: PermissionPolicy, type: string, method?: string) =>
  callRefusal(policy, "app-1", permissions, type, method === undefined ? undefined : path(method));

describe("what a declared plugin calls", () => {
  test.each([
    { type: "kv", method: "Any", why: "a type without methods is declared with all of them" },
    { type: "log", method: "Write", why: "the method is declared" },
    { type: "log", method: undefined, why: "finding a provider calls no method" },
  ])("passes: $why", ({ type, method }) => {
    expect(of(known, "declared", type, method)).toBeUndefined();
  });

  test.each([
    {
      type: "mail",
      method: "Send",
      says: 'app-1 does not declare that it requires "mail"; add { type: "mail" } to its requires',
    },
    {
      type: "log",
      method: "Delete",
      says:
        'app-1 does not declare that it calls "Delete" of "log", only Write, Flush; ' +
        'add it to the methods of "log" in its requires',
    },
  ])("is refused with what is missing: $says", ({ type, method, says }) => {
    expect(of(known, "declared", type, method)).toBe(says);
    expect(of(known, "strict", type, method)).toBe(says);
    expect(of(known, "off", type, method)).toBeUndefined();
  });
});

test.each([
  { policy: "declared", ok: true, why: "it is observed" },
  { policy: "strict", ok: false, why: "it has said nothing" },
  { policy: "off", ok: true, why: "nobody is held to anything" },
] as const)("a plugin that has said nothing may do anything under $policy: $ok ($why)", ({ policy, ok }) => {
  const call = of(unknownPermissions, policy, "kv", "Get");
  const registration = registrationRefusal(policy, "app-1", unknownPermissions, "app");
  if (ok) expect([call, registration]).toEqual([undefined, undefined]);
  else {
    expect(call).toMatch(/^app-1 has not said what it requires, .* \{ type: "kv" \} in its requires$/);
    expect(registration).toMatch(/^app-1 has not said what it provides, .* \{ type: "app" \} in its provides$/);
  }
});

test("a service of a type that is not declared is not registered", () => {
  const of = (type: string, policy: PermissionPolicy = "declared") => registrationRefusal(policy, "app-1", known, type);
  expect(of("app")).toBeUndefined();
  expect(of("kv")).toBe('app-1 does not declare that it provides "kv"; add { type: "kv" } to its provides');
  expect(of("kv", "off")).toBeUndefined();
});

test.each([
  { silentOn: undefined, calls: true, provides: true, why: "empty lists are a declaration, too" },
  { silentOn: ["provides"], calls: true, provides: false, why: "it said only what it requires" },
  { silentOn: ["provides", "requires"], calls: false, provides: false, why: "it said nothing" },
] as const)("of empty lists, silent on $silentOn: $why", ({ silentOn, calls, provides }) => {
  const permissions = permissionsOf(declaration({ ...(silentOn && { silentOn }) }));
  expect(permissions.calls !== undefined).toBe(calls);
  expect(permissions.provides !== undefined).toBe(provides);
});

test("where a second word says nothing, the first one counts", () => {
  expect(permissionsOf(declaration({ silentOn: ["provides", "requires"] }), known)).toEqual(known);
});
