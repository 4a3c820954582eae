/** A module with a plugin that answers with its name and version, both from the environment. */
export const plugin = `
import { definePlugin } from "connect-plugin-host/plugin";
const { NAME = "echo", VERSION = "1.0.0", NEEDS, HANGS } = process.env;
export default definePlugin({
  id: NAME + "-plugin",
  version: VERSION,
  provides: { [NAME]: { handler: "fetch" } },
  requires: NEEDS === undefined ? {} : { [NEEDS]: { minVersion: "^1.0.0" } },
  setup: (plugin) => {
    plugin.signal?.addEventListener("abort", () => console.log(NAME + " is told to stop"));
    return {
      [NAME]: async (request) => {
        const path = new URL(request.url).pathname;
        if (path.endsWith("/slow")) await new Promise((done) => setTimeout(done, 300));
        if (path.endsWith("/hang")) await new Promise(() => {});
        return new Response(NAME + " " + VERSION);
      },
    };
  },
});
`;

/** The same as a program. */
export const program = `
import { servePlugin } from "connect-plugin-host/plugin";
import plugin from "./plugin.mjs";
console.log("starting");
if (process.env.HANGS) process.on("SIGTERM", () => console.log("ignored"));
const running = await servePlugin(plugin, process.env.HANGS ? {} : { shutdownSignals: ["SIGTERM", "SIGINT"] });
if (process.env.HANGS) setInterval(() => {}, 1000);
void running;
`;
