// Writes the JSON schema of the configuration file for editors.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { buildExamples } from "./example-build.mjs";

const module = join(buildExamples(), "src", "cli", "config", "config-schema.js");
const { configJsonSchema } = await import(pathToFileURL(module).href);
const file = new URL("../docs/reference/configuration.schema.json", import.meta.url);
writeFileSync(file, `${JSON.stringify(configJsonSchema(), null, 2)}\n`);
