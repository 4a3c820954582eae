import { defineConfig } from "vitest/config";
import base from "./vitest.config.js";

// Plugins in Go, Python and our SDK against one host. Needs Go and Python 3, so it is not part of `npm test`.
export default defineConfig({
  ...(base.resolve !== undefined && { resolve: base.resolve }),
  test: {
    include: ["test/polyglot/**/*.test.ts"],
    globalSetup: ["test/polyglot/setup.ts"],
    pool: "forks",
    maxWorkers: 1,
    testTimeout: 30_000,
  },
});
