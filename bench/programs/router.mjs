// A host with one provider, which runs already, and with everything on that is on by default, authorisation too.
import { Platform } from "../../dist/index.js";
import { join } from "../lib/identity.mjs";
import { serveMemory } from "../lib/memory.mjs";

const { providerPort, protocols, router = {}, memory = false } = JSON.parse(process.argv[2]);
const platform = new Platform({
  authorize: ({ caller }) => (caller.kind === "plugin" ? undefined : "only plugins may call"),
  callerRate: { perSecond: 1e9, burst: 1e9 },
  router,
});
await platform.listen({ port: 0 });
const provider = await platform.addPlugin({
  endpoint: `http://127.0.0.1:${providerPort}`,
  declares: {
    selfId: "echo",
    selfVersion: "1.0.0",
    provides: [{ type: "echo", version: "1.0.0", path: "/" }],
    metadata: { protocols },
  },
});
const caller = await join(platform.url, "caller", ["echo"]);
const memoryUrl = memory ? await serveMemory() : undefined;
process.once("SIGTERM", () => void platform.stop().then(() => process.exit(0)));
console.log(JSON.stringify({ url: platform.url, providerId: provider.runtimeId, caller, memoryUrl }));
