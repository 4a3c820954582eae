import { defineConfig } from "vitest/config";
import base from "./vitest.config.js";

// Plugins in Go, Python, Rust and our SDK against one host. Needs Go, Python 3 and rustc, so it is not part of `npm test`.
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
