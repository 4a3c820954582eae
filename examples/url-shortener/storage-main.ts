import { servePlugin } from "connect-plugin-host/plugin";
import { storagePlugin } from "./storage-plugin.js";

const file = process.env.LINKS_FILE || undefined;
const running = await servePlugin(storagePlugin({ file }), { shutdownSignals: ["SIGTERM", "SIGINT"] });
process.stdout.write(`storage plugin at ${running.url}, links in ${file ?? "memory"}\n`);
