// A host without plugins, and how long it took to listen once its code was loaded.
import { Platform } from "../../dist/index.js";
import { serveMemory } from "../lib/memory.mjs";

const begin = performance.now();
const platform = new Platform();
await platform.listen({ port: 0 });
const listenMs = performance.now() - begin;
process.once("SIGTERM", () => process.exit(0));
console.log(JSON.stringify({ url: platform.url, listenMs, memoryUrl: await serveMemory() }));
