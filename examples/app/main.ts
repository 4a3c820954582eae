import { servePlugin } from "connect-plugin-host/plugin";
import { appPlugin } from "./plugin.js";

const running = await servePlugin(appPlugin, { shutdownSignals: ["SIGTERM", "SIGINT"] });
process.stdout.write(
  `app plugin at ${running.url}${running.runtimeId === undefined ? "" : `, known as ${running.runtimeId}`}\n`,
);
