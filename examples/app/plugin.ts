import { definePlugin } from "connect-plugin-host/plugin";
import { App } from "../gen/app/v1/app_pb.js";
import { Cache } from "../gen/cache/v1/cache_pb.js";
import { Logger } from "../gen/logger/v1/logger_pb.js";

const text = {
  encode: (value: string) => new TextEncoder().encode(value),
  decode: (bytes: Uint8Array) => new TextDecoder().decode(bytes),
};

/** Does its work once for each input: the second time the answer comes from the cache. */
export const appPlugin = definePlugin({
  id: "app-plugin",
  version: "1.0.0",
  requires: {
    cache: { service: Cache, minVersion: "1.0.0" },
    logger: { service: Logger, required: false },
  },
  provides: { app: { service: App } },
  setup(plugin) {
    const cache = plugin.client("cache");
    const logger = plugin.client("logger");
    return {
      app: {
        async handle({ input }, { signal }) {
          const key = `app:${input}`;
          const known = await cache.get({ key }, { signal });
          if (known.found) return { output: text.decode(known.value), fromCache: true };
          const output = input.toUpperCase();
          await cache.set({ key, value: text.encode(output) }, { signal });
          // Nobody's work should fail because it could not be noted.
          await logger.log({ message: `handled ${input}` }, { signal }).catch(() => {});
          return { output, fromCache: false };
        },
      },
    };
  },
});

export default appPlugin;
