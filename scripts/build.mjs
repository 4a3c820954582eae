// Compiles src/ to dist/. Whatever was in dist/ before is gone, so that no file of an earlier build is published.
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const typescriptFolder = dirname(createRequire(import.meta.url).resolve("typescript/package.json"));

rmSync(join(root, "dist"), { recursive: true, force: true });
const { status, error } = spawnSync(
  process.execPath,
  [join(typescriptFolder, "bin", "tsc"), "-p", join(root, "tsconfig.build.json")],
  { cwd: root, stdio: "inherit" },
);
if (error !== undefined) throw error;
process.exitCode = status ?? 1;
