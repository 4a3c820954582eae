// Calls the cache from a worker thread of its own, and says how long that took.
import { definePlugin } from "../../dist/plugin/index.js";
import { Cache, callOf } from "../lib/cache-service.mjs";

export default definePlugin({
  id: "caller-plugin",
  version: "1.0.0",
  requires: { cache: { service: Cache } },
  provides: { timing: { handler: "fetch" } },
  setup(plugin) {
    const call = callOf(plugin.client("cache"));
    return {
      // Microseconds a call: `atOnce` in flight for `forMs`.
      timing: async (request) => {
        const { searchParams } = new URL(request.url);
        const atOnce = Number(searchParams.get("atOnce"));
        const begin = performance.now();
        const endsAt = begin + Number(searchParams.get("forMs"));
        let calls = 0;
        while (performance.now() < endsAt) {
          const answers = await Promise.all(Array.from({ length: atOnce }, () => call("hello")));
          for (const answer of answers) if (answer !== "hello") throw new Error(`answered ${answer}`);
          calls += atOnce;
        }
        return Response.json({ microseconds: ((performance.now() - begin) * 1_000) / calls });
      },
    };
  },
});
