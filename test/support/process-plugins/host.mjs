// A host in a process of its own: adds the plugins that its argument lists, tells their process ids and its URL, and waits to be
// killed.
const [entry, specs, options = "{}"] = process.argv.slice(2);
const { Platform } = await import(entry);
const platform = new Platform(JSON.parse(options));
await platform.listen({ port: 0 });
const plugins = await platform.addPlugins(JSON.parse(specs));
const told = { pids: plugins.map(({ pid }) => pid), ids: plugins.map(({ runtimeId }) => runtimeId), url: platform.url };
process.stdout.write(`${JSON.stringify(told)}\n`);
