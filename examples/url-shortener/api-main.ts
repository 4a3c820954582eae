import { servePlugin } from "connect-plugin-host/plugin";
import { apiPlugin } from "./api-plugin.js";

const running = await servePlugin(apiPlugin, { shutdownSignals: ["SIGTERM", "SIGINT"] });
process.stdout.write(`api plugin at ${running.url}\n`);
