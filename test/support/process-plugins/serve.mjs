// Serves the plugin that is a module's default export: the SDK and the module as URLs, and options as JSON, are its arguments.
const [, , sdk, module, options] = process.argv;
const { servePlugin } = await import(sdk);
const { default: plugin } = await import(module);
await servePlugin(plugin, { shutdownSignals: ["SIGTERM", "SIGINT"], ...JSON.parse(options) });
