import { servePlugin } from "connect-plugin-host/plugin";
import { loggerPlugin } from "./plugin.js";

const running = await servePlugin(loggerPlugin, { shutdownSignals: ["SIGTERM", "SIGINT"] });
process.stdout.write(
  `logger plugin at ${running.url}${running.runtimeId === undefined ? "" : `, known as ${running.runtimeId}`}\n`,
);
