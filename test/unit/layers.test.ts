import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { mayImport, partOf } from "../support/layers.js";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const src = join(root, "src");

interface Import {
  readonly file: string;
  readonly line: number;
  readonly specifier: string;
}

const specifierPattern = /(?:\bfrom|\bimport)\s*\(?\s*["']([^"']+)["']/g;

function importsIn(file: string): Import[] {
  return readFileSync(join(src, file), "utf8")
    .split("\n")
    .flatMap((text, index) => {
      if (/^\s*(\*|\/\/|\/\*)/.test(text)) return []; // examples in comments
      return [...text.matchAll(specifierPattern)].map((match) => ({
        file,
        line: index + 1,
        specifier: match[1] ?? "",
      }));
    });
}

const files = readdirSync(src, { recursive: true, encoding: "utf8" })
  .map((file) => file.replaceAll("\\", "/"))
  .filter((file) => file.endsWith(".ts"));

/** What is wrong with an import, or undefined. */
function objection({ file, line, specifier }: Import): string | undefined {
  const where = `src/${file}:${line} imports ${specifier}`;
  if (/^connect-plugin-host(\/|$)/.test(specifier)) return `${where}; inside src/ use a relative path`;
  if (!specifier.startsWith(".")) return undefined;
  const target = relative(src, resolve(src, dirname(file), specifier)).replaceAll("\\", "/");
  const importer = partOf(file);
  if (target.startsWith("..")) return `${where}, which is outside src/ and not part of the package`;
  const imported = partOf(target.replace(/\.js$/, ".ts"));
  if (imported === importer) return undefined;
  const allowed = mayImport.get(importer) ?? [];
  const entryOnly = ["index", "plugin"].includes(imported) && !/^(plugin\/)?index\.js$/.test(target);
  if (allowed.includes(imported) && !entryOnly) return undefined;
  return `${where}; ${importer} may import ${allowed.length === 0 ? "no other part" : allowed.join(", ")}`;
}

test("every part of src/ has its place among the layers", () => {
  const unknown = [...new Set(files.map(partOf))].filter((part) => !mayImport.has(part));
  expect(unknown, "add these to test/support/layers.ts and biome.json").toEqual([]);
});

test("no file imports from a layer that it must not know", () => {
  const imports = files.filter((file) => partOf(file) !== "gen").flatMap(importsIn);
  expect(imports.length).toBeGreaterThan(20);
  expect(imports.map(objection).filter((text) => text !== undefined)).toEqual([]);
});

test.each([
  { file: "registry/a.ts", specifier: "../health/b.js", ok: false, why: "same level" },
  { file: "registry/a.ts", specifier: "../model/b.js", ok: true, why: "below" },
  { file: "model/a.ts", specifier: "../registry/b.js", ok: false, why: "above" },
  { file: "router/a.ts", specifier: "../gen/x/v1/x_pb.js", ok: false, why: "wire types end in rpc and plugin" },
  { file: "rpc/a.ts", specifier: "../gen/x/v1/x_pb.js", ok: true, why: "wire types end in rpc and plugin" },
  { file: "rpc/a.ts", specifier: "../platform.js", ok: false, why: "above" },
  { file: "platform.ts", specifier: "./rpc/a.js", ok: true, why: "below" },
  { file: "platform.ts", specifier: "./plugin/index.js", ok: false, why: "the host does not load the SDK" },
  { file: "plugin/a.ts", specifier: "../registry/b.js", ok: false, why: "the SDK does not load the host" },
  { file: "adapters/x/a.ts", specifier: "../../index.js", ok: true, why: "the public entry point" },
  { file: "adapters/x/a.ts", specifier: "../../platform.js", ok: false, why: "not the public entry point" },
  { file: "adapters/x/a.ts", specifier: "../../plugin/define.js", ok: false, why: "not the public entry point" },
  { file: "graph/a.ts", specifier: "connect-plugin-host", ok: false, why: "its own package" },
  { file: "graph/a.ts", specifier: "../../test/support/b.js", ok: false, why: "outside" },
  { file: "graph/a.ts", specifier: "node:http", ok: true, why: "not ours" },
])("src/$file importing $specifier is allowed: $ok ($why)", ({ file, specifier, ok }) => {
  expect(objection({ file, line: 1, specifier }) === undefined).toBe(ok);
});

test("the linter holds the same layers", () => {
  const { overrides } = JSON.parse(readFileSync(join(root, "biome.json"), "utf8"));
  const restricted = new Map<string, string>();
  for (const { includes, linter } of overrides) {
    const options = linter?.rules?.style?.noRestrictedImports?.options;
    if (options === undefined) continue;
    // What is excepted again is no folder of its own: generated code has folders with the names of ours.
    const all: string[] = options.patterns.flatMap(({ group }: { group: string[] }) => group);
    const groups = all.filter((glob) => !glob.startsWith("!"));
    for (const include of includes) restricted.set(include, groups.toSorted().join(" "));
  }
  const parts = [...mayImport.keys()];
  const glob = (part: string) =>
    ["errors", "index", "platform"].includes(part) ? `**/${part === "index" ? "../index" : part}.js` : `**/${part}/**`;
  for (const part of parts.filter((name) => !["errors", "index", "platform", "gen"].includes(name))) {
    const forbidden = parts.filter((name) => name !== part && !(mayImport.get(part) ?? []).includes(name));
    expect(restricted.get(`src/${part}/**`), `noRestrictedImports for src/${part}/**`).toBe(
      forbidden.map(glob).sort().join(" "),
    );
  }
});
