import { definePlugin } from "../../../dist/plugin/index.js";
import { conformanceService, registry } from "./schema.mjs";
import { conformanceImplementation } from "./service.mjs";

/** The suite's service as a plugin that reads messages of at most so many bytes; 0 for no limit. */
export const conformancePlugin = (readMaxBytes) =>
  definePlugin({
    id: "provider",
    version: "1.0.0",
    provides: { conformance: { service: conformanceService } },
    server: { jsonOptions: { registry }, ...(readMaxBytes > 0 && { readMaxBytes }) },
    setup: () => ({ conformance: conformanceImplementation }),
  });

/** A plugin that calls it, and how to get its client once it is set up. */
export function callingPlugin() {
  let client;
  const plugin = definePlugin({
    id: "caller",
    version: "1.0.0",
    requires: { conformance: { service: conformanceService } },
    setup(context) {
      client = context.client("conformance");
    },
  });
  return { plugin, client: () => client };
}
