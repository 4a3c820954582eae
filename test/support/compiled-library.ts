import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

const root = join(import.meta.dirname, "../..");

/** The library as programs of their own can load it. */
export interface CompiledLibrary {
  /** URL of the host's entry point. */
  readonly host: string;
  /** URL of the plugin SDK's entry point. */
  readonly plugin: string;
}

/**
 * Compiles the library for programs that have to run in processes of their own. Inside the checkout, where its dependencies are.
 *
 * @param name of the folder; one for each test file, as they run at the same time
 */
export function compileLibrary(name: string): CompiledLibrary {
  const folder = join(root, ".cache", name);
  const typescript = dirname(createRequire(import.meta.url).resolve("typescript/package.json"));
  const off = ["--declaration", "--declarationMap", "--sourceMap"].flatMap((flag) => [flag, "false"]);
  const args = ["-p", join(root, "tsconfig.build.json"), "--noCheck", ...off, "--outDir", folder];
  execFileSync(process.execPath, [join(typescript, "bin/tsc"), ...args]);
  const url = (file: string): string => pathToFileURL(join(folder, file)).href;
  return { host: url("index.js"), plugin: url("plugin/index.js") };
}
