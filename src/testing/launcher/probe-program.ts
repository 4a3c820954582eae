// Serves one probe, named by the first argument, as a program of its own.
import { type DefinedPlugin, servePlugin } from "../../plugin/index.js";

const { default: plugin } = (await import(new URL(`./probes/${process.argv[2]}.js`, import.meta.url).href)) as {
  readonly default: DefinedPlugin;
};
await servePlugin(plugin, { shutdownSignals: ["SIGTERM", "SIGINT"] });
