// Runs an example on plain Node: `node scripts/run-example.mjs logger`. Compiles what has changed first.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { buildExamples } from "./example-build.mjs";

const [name = ""] = process.argv.slice(2);
const main = join(buildExamples(), "examples", name, "main.js");
if (/^[a-z-]+$/.test(name) && existsSync(main)) {
  await import(pathToFileURL(main).href);
} else {
  process.stderr.write("usage: node scripts/run-example.mjs demo | logger | cache | app\n");
  process.exitCode = 2;
}
