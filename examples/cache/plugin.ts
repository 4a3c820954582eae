import { Code, ConnectError } from "@connectrpc/connect";
import { callBuffer, definePlugin } from "connect-plugin-host/plugin";
import { Cache } from "../gen/cache/v1/cache_pb.js";
import { Logger } from "../gen/logger/v1/logger_pb.js";
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
    const log = callBuffer(plugin, "logger", {
      send: (message: string, signal) => logger.log({ level: "info", message }, { signal }),
      // The newest lines say more about the present trouble than the oldest.
      maxKept: 10_000,
      overflow: "drop-oldest",
      // A line that is there twice does less harm than one that is missing.
      isRepeatable: ({ code }) => code === Code.Unavailable || code === Code.ResourceExhausted,
      onChange(state) {
        if (state === "passing") plugin.reportHealth("healthy");
        else plugin.reportHealth("degraded", "logger unavailable, log lines are kept back", ["logger"]);
      },
    });

    return {
      cache: {
        get({ key }) {
          const value = cache.get(key);
          log.add(`get ${key}: ${value === undefined ? "miss" : "hit"}`);
          return value === undefined ? { found: false } : { found: true, value };
        },
        set({ key, value, ttlMs }) {
          if (key === "") throw new ConnectError("key must not be empty", Code.InvalidArgument);
          cache.set(key, value, ttlMs);
          log.add(`set ${key}`);
          return {};
        },
        watch: ({ prefix }, { signal }) => cache.watch(prefix, AbortSignal.any([signal, plugin.signal])),
      },
    };
  },
});

export default cachePlugin;
