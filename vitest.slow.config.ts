import { defineConfig } from "vitest/config";

// What takes minutes, or looks at the packed package rather than at the sources. Not part of `npm test`.
export default defineConfig({
  test: {
    include: ["test/{check,package,soak}/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 1,
    // For tests that count what is left in memory.
    execArgv: ["--expose-gc"],
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
