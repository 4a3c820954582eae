import { equal } from "node:assert/strict";
import type { AdapterBench } from "./adapter-bench.js";
import type { AdapterField } from "./adapter-under-test.js";

/** One thing that has to be true. */
export type Case = (bench: AdapterBench) => Promise<void>;

/** Each bad value is refused, while something good is registered. */
export const refusing = (field: AdapterField, values: readonly string[]): Case => {
  return async (bench) => {
    await bench.register("good");
    const address = await bench.provider("bad");
    const service = { type: "other", version: "1.0.0", address, metadata: {} };
    for (const value of bench.refused(field, values)) {
      const what = `the ${field} ${JSON.stringify(value)}`;
      await bench.refuses(what, field, () => bench.adapter.register({ ...service, [field]: value }));
    }
    equal(await bench.found(), "good");
    await bench.adapter.register(service);
    equal(bench.host.platform.registry.providers("other").length, 1, "what is good is refused after what was bad");
  };
};
