import { defineConfig } from "vitest/config";

// What takes minutes, or looks at the packed package rather than at the sources. Not part of `npm test`.
export default defineConfig({
  test: {
    include: ["test/{package,soak}/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 1,
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
