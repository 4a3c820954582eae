// A host for plugins that register themselves.
import { Platform } from "../../dist/index.js";

const platform = new Platform();
await platform.listen({ port: 0 });
process.once("SIGTERM", () => process.exit(0));
console.log(JSON.stringify({ url: platform.url }));
