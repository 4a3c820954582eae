import { defineConfig } from "vitest/config";
import base from "./vitest.config.js";

// What takes minutes, or looks at the packed package rather than at the sources. Not part of `npm test`.
export default defineConfig({
  ...(base.resolve !== undefined && { resolve: base.resolve }),
  test: {
    include: ["test/{check,contract,long,package,soak}/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 1,
    // For tests that count what is left in memory.
    execArgv: ["--expose-gc"],
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
