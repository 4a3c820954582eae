import { servePlugin } from "connect-plugin-host/plugin";
import { cachePlugin } from "./plugin.js";

const running = await servePlugin(cachePlugin, { shutdownSignals: ["SIGTERM", "SIGINT"] });
process.stdout.write(
  `cache plugin at ${running.url}${running.runtimeId === undefined ? "" : `, known as ${running.runtimeId}`}\n`,
);
