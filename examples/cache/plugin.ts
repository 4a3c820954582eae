import { Code, ConnectError } from "@connectrpc/connect";
import { definePlugin } from "connect-plugin-host/plugin";
import { Cache } from "../gen/cache/v1/cache_pb.js";
import { Logger } from "../gen/logger/v1/logger_pb.js";
import { LogBuffer } from "./log-buffer.js";
import { MemoryCache } from "./memory-cache.js";

/** A cache that notes what it does in the log, and goes on without it while the logger is away. */
export const cachePlugin = definePlugin({
  id: "cache-plugin",
  version: "1.0.0",
  // It says itself how it is without a logger.
  requires: { logger: { service: Logger, minVersion: "1.0.0", whenLost: "ignore" } },
  provides: { cache: { service: Cache } },
  setup(plugin) {
    const logger = plugin.client("logger");
    const cache = new MemoryCache();
    const log = new LogBuffer({
      send: (message, signal) => logger.log({ level: "info", message }, { signal }),
      onDegraded: () => plugin.reportHealth("degraded", "logger unavailable, log lines are kept back", ["logger"]),
      onRecovered: () => plugin.reportHealth("healthy"),
    });
    plugin.onDependency("logger", ({ state }) => (state === "unavailable" ? log.hold() : log.flush()));
    plugin.onStop(() => log.close());

    return {
      cache: {
        get({ key }) {
          const value = cache.get(key);
          log.write(`get ${key}: ${value === undefined ? "miss" : "hit"}`);
          return value === undefined ? { found: false } : { found: true, value };
        },
        set({ key, value, ttlMs }) {
          if (key === "") throw new ConnectError("key must not be empty", Code.InvalidArgument);
          cache.set(key, value, ttlMs);
          log.write(`set ${key}`);
          return {};
        },
        watch: ({ prefix }, { signal }) => cache.watch(prefix, AbortSignal.any([signal, plugin.signal])),
      },
    };
  },
});

export default cachePlugin;
