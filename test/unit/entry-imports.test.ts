import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const src = join(dirname(fileURLToPath(import.meta.url)), "../../src");

// What stays in the compiled file: neither types nor what is imported on first use.
const statements = /^(?:import|export)\s+(?!type\b)(?:[^;"']*?\bfrom\s+)?"([^"]+)";/gm;
const onlyTypes = /^(?:import|export)\s*\{\s*(?:type\s+\w+(?:\s+as\s+\w+)?\s*,?\s*)+\}\s*from/;

/** Everything that the file makes Node load, itself included: our files, and packages by their names. */
function loadedBy(entry: string): { readonly files: readonly string[]; readonly packages: readonly string[] } {
  const files = new Set([join(src, entry)]);
  const packages = new Set<string>();
  // A Set may grow while it is walked, so it is the queue as well.
  for (const file of files) {
    for (const [statement, specifier = ""] of readFileSync(file, "utf8").matchAll(statements)) {
      if (onlyTypes.test(statement) || specifier.startsWith("node:")) continue;
      if (specifier.startsWith(".")) files.add(resolve(dirname(file), specifier.replace(/\.js$/, ".ts")));
      else packages.add((specifier.startsWith("@") ? /^[^/]+\/[^/]+/ : /^[^/]+/).exec(specifier)?.[0] ?? specifier);
    }
  }
  return { files: [...files], packages: [...packages].sort() };
}

const rpc = ["@bufbuild/protobuf", "@connectrpc/connect"];

test.each([
  { entry: "index.ts", packages: [...rpc, "@dagrejs/graphlib", "semver"] },
  { entry: "plugin/index.ts", packages: [...rpc, "semver"] },
  { entry: "plugin/interceptors/index.ts", packages: rpc, atLeast: 20 },
])("src/$entry loads $packages and nothing else before it is used", ({ entry, packages, atLeast = 50 }) => {
  const loaded = loadedBy(entry);
  expect(loaded.files.length).toBeGreaterThan(atLeast);
  // All others cost every start, and few hosts need them: `await import(...)` where they are needed.
  expect(loaded.packages).toEqual(packages);
});

test("the command line and the settings of files are not loaded with the library", () => {
  expect(loadedBy("index.ts").files.filter((file) => file.startsWith(join(src, "cli")))).toEqual([]);
  // The walk finds what it looks for.
  expect(loadedBy("cli/config/config-schema.ts").packages).toContain("zod");
});
