import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { builtExamples } from "./built-examples.js";

/** Stands in for `src/launch/worker-bootstrap.ts`: the program of worker threads as JavaScript. */
export const workerBootstrap = (): URL => pathToFileURL(join(builtExamples(), "src", "plugin", "worker-main.js"));
