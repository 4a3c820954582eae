import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const src = resolve(dirname(fileURLToPath(import.meta.url)), "../../../src");
const ownPackages = ["commander", "yaml", "zod"];

/** The packages that a module loads, directly or through other modules of ours; types are not loaded. */
function packagesOf(entry: string, lazyToo: boolean): Set<string> {
  const packages = new Set<string>();
  const seen = new Set<string>();
  const pattern = lazyToo
    ? /(?:^(?:import|export)(?! type\b)[^;]*?\bfrom\s*|^import\s*|\bimport\(\s*)"([^"]+)"/gm
    : /(?:^(?:import|export)(?! type\b)[^;]*?\bfrom\s*|^import\s*)"([^"]+)"/gm;
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const [, specifier = ""] of readFileSync(file, "utf8").matchAll(pattern)) {
      if (specifier.startsWith(".")) visit(join(dirname(file), specifier.replace(/\.js$/, ".ts")));
      else packages.add(specifier);
    }
  };
  visit(join(src, entry));
  expect(seen.size).toBeGreaterThan(5);
  return packages;
}

test.each(["index.ts", "plugin/index.ts"])("%s loads nothing that only the command line needs", (entry) => {
  const packages = packagesOf(entry, true);
  expect(ownPackages.filter((name) => packages.has(name))).toEqual([]);
});

test("the command line needs them, and loads the host and the configuration's packages only for serve", () => {
  const all = packagesOf("cli/main.ts", true);
  expect(ownPackages.filter((name) => !all.has(name))).toEqual([]);
  const atOnce = packagesOf("cli/main.ts", false);
  for (const name of ["yaml", "zod", "http-proxy-3", "@dagrejs/graphlib"]) expect(atOnce).not.toContain(name);
});
