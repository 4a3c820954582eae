import { describe, expect, test } from "vitest";
import { checkDeclaration, reconcile } from "../../../src/lifecycle/declaration-check.js";
import type { PluginDeclaration } from "../../../src/model/declarations.js";
import { declaration } from "../../support/lifecycle-bench.js";

const service = (changes: object = {}) => ({ type: "echo", version: "1.0.0", path: "/echo/", ...changes });
const dependency = (changes: object = {}) => ({
  type: "logger",
  minVersion: "1.0.0",
  required: true,
  watch: false,
  source: "declared" as const,
  ...changes,
});

describe("everything that a plugin says of itself is checked, and the error names the field", () => {
  test.each([
    { bad: { selfId: "" }, field: "info.selfId" },
    { bad: { selfId: "1st" }, field: "info.selfId" },
    { bad: { selfId: "a..b" }, field: "info.selfId" },
    { bad: { selfId: "x".repeat(129) }, field: "info.selfId" },
    { bad: { selfVersion: "one" }, field: "info.selfVersion" },
    { bad: { provides: [service(), service({ type: "no way" })] }, field: "info.provides[1].type" },
    { bad: { provides: [service({ version: "" })] }, field: "info.provides[0].version" },
    { bad: { provides: [service({ path: "/../x" })] }, field: "info.provides[0].path" },
    { bad: { requires: [dependency({ type: "" })] }, field: "info.requires[0].type" },
    { bad: { requires: [dependency({ minVersion: "newest" })] }, field: "info.requires[0].minVersion" },
    { bad: { requires: [dependency({ methods: ["Log", ""] })] }, field: "info.requires[0].methods[1]" },
    { bad: { requires: [dependency({ methods: ["/Log"] })] }, field: "info.requires[0].methods[0]" },
    { bad: { requires: [dependency({ methods: ["Log?x"] })] }, field: "info.requires[0].methods[0]" },
    { bad: { requires: [dependency({ methods: ["x".repeat(257)] })] }, field: "info.requires[0].methods[0]" },
    { bad: { requires: [dependency({ methods: Array(101).fill("Log") })] }, field: "info.requires[0].methods" },
    { bad: { requires: Array(101).fill(dependency()) }, field: "info.requires" },
    { bad: { provides: Array(101).fill(service()) }, field: "info.provides" },
    { bad: { metadata: { "bad key": "" } }, field: "info.metadata key" },
    { bad: { metadata: { key: "x".repeat(4_097) } }, field: "info.metadata.key" },
  ])("$field for $bad", ({ bad, field }) => {
    expect(() => checkDeclaration("info", declaration(bad))).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT", field }),
    );
  });
});

test("a declaration comes out in normal form, and the caller's object is left as it is", () => {
  const given = declaration({ selfId: "my plugin", provides: [service({ path: "" }), service({ path: "/x" })] });
  const copy = structuredClone(given);
  expect(checkDeclaration("info", given).provides.map(({ path }) => path)).toEqual(["/", "/x/"]);
  expect(given).toEqual(copy);
});

test("an empty version, and no version range, are allowed", () => {
  checkDeclaration("info", declaration({ selfVersion: "", requires: [dependency({ minVersion: "" })] }));
});

describe("what was declared for a plugin must be what it says of itself", () => {
  test.each([
    { declared: { selfId: "other" }, message: 'self id is "echo", but "other" was declared' },
    { declared: { selfVersion: "2.0.0" }, message: "version is 1.0.0, but 2.0.0 was declared" },
    { declared: { provides: [service({ version: "2.0.0" })] }, message: "services is echo@1.0.0, but echo@2.0.0" },
    { declared: { provides: [] }, message: "services is echo@1.0.0, but nothing" },
    { declared: { requires: [] }, message: "dependencies is logger@1.0.0, but nothing" },
    { declared: { requires: [dependency({ required: false })] }, message: "but logger@1.0.0?" },
    {
      declared: { requires: [dependency({ methods: ["Other"] })] },
      message: "dependencies is logger@1.0.0 (List, Log), but logger@1.0.0 (Other)",
      methods: ["Log", "List"],
    },
  ])("$message", ({ declared, message, ...more }) => {
    const actual = declaration({ requires: [dependency(more)] });
    expect(() => reconcile({ ...actual, ...declared }, actual)).toThrow(
      expect.objectContaining({ code: "DECLARATION_MISMATCH", message: expect.stringContaining(message) as string }),
    );
  });

  test.each([
    { why: "in another order", declared: { provides: [service({ type: "b" }), service({ type: "a" })] } },
    { why: "without a version", declared: { selfVersion: "" } },
    {
      why: "with other paths and metadata",
      declared: { provides: [service({ type: "a", path: "/" }), service({ type: "b" })], metadata: { x: "y" } },
    },
  ])("but not $why", ({ declared }) => {
    const actual = declaration({ provides: [service({ type: "a" }), service({ type: "b" })] });
    expect(reconcile({ ...actual, ...declared }, actual)).toEqual(actual);
  });

  test("where it says nothing, what was declared counts", () => {
    const declared: PluginDeclaration = declaration({ requires: [dependency()] });
    expect(reconcile(declared, declaration({ provides: [] }))).toMatchObject({
      provides: declared.provides,
      requires: declared.requires,
    });
  });

  test("without a declaration its own word counts", () => {
    const actual = declaration();
    expect(reconcile(undefined, actual)).toBe(actual);
  });
});

test.each([
  { declared: ["Log"], own: undefined, why: "whoever adds it narrows it" },
  { declared: undefined, own: ["Log"], why: "it narrows itself" },
  { declared: ["Log"], own: ["Log"], why: "both say the same" },
])("the methods of one side count where the other names none: $why", ({ declared, own }) => {
  const said = (methods: readonly string[] | undefined) =>
    declaration({ requires: [dependency({ ...(methods && { methods }) })] });
  expect(reconcile(said(declared), said(own)).requires).toEqual([dependency({ methods: ["Log"] })]);
});

test("what was declared for a plugin leaves nothing unsaid", () => {
  const actual = declaration({ provides: [], silentOn: ["provides", "requires"] });
  expect(reconcile(declaration({ provides: [service()] }), actual)).not.toHaveProperty("silentOn");
  expect(reconcile(undefined, actual)).toHaveProperty("silentOn", ["provides", "requires"]);
});
