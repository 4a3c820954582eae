import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  resolve: {
    // Tests and examples import the package by its name, as its users do; here the name stands for the sources.
    alias: [
      // Threads run what is compiled; the sources' own program would be TypeScript.
      { find: /^\.\/worker-bootstrap\.js$/, replacement: here("test/support/worker-bootstrap.ts") },
      { find: /^connect-plugin-host$/, replacement: here("src/index.ts") },
      { find: /^connect-plugin-host\/testing$/, replacement: here("src/testing/index.ts") },
      { find: /^connect-plugin-host\/plugin$/, replacement: here("src/plugin/index.ts") },
      { find: /^connect-plugin-host\/interceptors$/, replacement: here("src/plugin/interceptors/index.ts") },
    ],
  },
  test: {
    include: ["test/{unit,property,integration}/**/*.test.ts"],
    // Processes rather than threads: tests start servers and child processes, and a crash shows which file it was.
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 10_000,
    hookTimeout: 10_000,
    restoreMocks: true,
    unstubEnvs: true,
  },
});
