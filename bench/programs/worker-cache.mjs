// The cache of the benchmarks as a plugin for a worker thread.
import { definePlugin } from "../../dist/plugin/index.js";
import { Cache, implementation } from "../lib/cache-service.mjs";

export default definePlugin({
  id: "cache-plugin",
  version: "1.0.0",
  provides: { cache: { service: Cache } },
  setup: () => ({ cache: implementation }),
});
