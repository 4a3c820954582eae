import type { Platform } from "../../../src/index.js";
import type { AdapterAnswer, AdapterUnderTest, OpenAdapter } from "../../../src/testing/index.js";

/** An adapter without a wire: what every front door does, in the fewest calls of the platform. */
export function openDirectAdapter(platform: Platform): OpenAdapter {
  const ids = new Map<string, string>();
  const watches = new Set<AbortController>();
  const answerOf = (runtimeId: string): AdapterAnswer => ({ url: platform.plugin(runtimeId).endpointUrl ?? "" });
  const discover = (type: string, minVersion?: string): AdapterAnswer | undefined => {
    const result = platform.registry.find(type, { minVersion });
    if (result.kind === "found") return answerOf(result.provider.plugin.runtimeId);
    if (result.code === "INVALID_ARGUMENT") throw new Error(result.message);
    return undefined;
  };
  const remove = async (id: string): Promise<void> => {
    for (const [key, known] of ids) if (known === id) ids.delete(key);
    await platform.removePlugin(id, { limits: { graceMs: 0 } });
  };
  return {
    async register({ type, version, address }) {
      const key = [type, version, address].join(" ");
      const known = ids.get(key);
      if (known !== undefined) return { id: known };
      const provides = [{ type, version, path: "/" }];
      const { runtimeId } = await platform.addPlugin({ endpoint: address, declares: { selfId: "outside", provides } });
      ids.set(key, runtimeId);
      return { id: runtimeId };
    },
    deregister: remove,
    discover: async (type, { minVersion } = {}) => discover(type, minVersion),
    list: async () => platform.registry.services().map(({ type }) => type),
    async heartbeat(id) {
      platform.plugin(id);
    },
    async watch(type, onChange) {
      const end = new AbortController();
      watches.add(end);
      void (async () => {
        for await (const _view of platform.registry.watch(type, { signal: end.signal })) onChange(discover(type));
      })();
      return () => end.abort();
    },
    async close() {
      for (const watch of watches) watch.abort();
      await Promise.all([...ids.values()].map((id) => remove(id).catch(() => {})));
    },
  };
}

/** What the contract needs to know of it. */
export const directAdapter: AdapterUnderTest = {
  open: openDirectAdapter,
  fields: { address: "endpoint" },
  lacks: {
    modules: "it gives out addresses of providers, and a module has none",
    metadata: "plugins that are added by an address have none",
  },
};
