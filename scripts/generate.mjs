// Generates code from all .proto files, without a network. Each module is generated beside its users.
// With `--check` nothing is written: the exit code is 1 if what is checked in differs from what would be generated.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const modules = [
  { proto: "proto", template: "buf.gen.yaml", base: "src" },
  { proto: "examples/proto", template: "examples/buf.gen.yaml", base: "examples" },
  { proto: "src/testing/proto", template: "buf.gen.yaml", base: "src/testing" },
  { proto: "test/support/proto", template: "buf.gen.yaml", base: "test/support" },
];

const generate = ({ proto, template }, output) => {
  const buf = join(root, "node_modules", ".bin", "buf");
  const { status, error } = spawnSync(buf, ["generate", proto, "--template", template, "--output", output], {
    cwd: root,
    stdio: "inherit",
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`buf generate ${proto} ended with exit code ${status}`);
};

const filesIn = (folder) => {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    entries.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [relative(folder, path), readFileSync(path, "utf8")];
    }),
  );
};

const differences = (module) => {
  const temporary = mkdtempSync(join(tmpdir(), "generate-"));
  try {
    generate(module, temporary);
    const wanted = filesIn(join(temporary, "gen"));
    const present = filesIn(join(root, module.base, "gen"));
    return [...new Set([...wanted.keys(), ...present.keys()])]
      .filter((name) => wanted.get(name) !== present.get(name))
      .map((name) => join(module.base, "gen", name));
  } finally {
    rmSync(temporary, { recursive: true });
  }
};

if (process.argv.includes("--check")) {
  const stale = modules.flatMap(differences);
  if (stale.length > 0) {
    process.stderr.write(`Not as generated; run \`npm run generate\`:\n${stale.map((name) => `  ${name}\n`).join("")}`);
    process.exitCode = 1;
  }
} else {
  for (const module of modules) generate(module, module.base);
}
