// A host in a process of its own: adds the plugins that its argument lists, tells their process ids, and waits to be killed.
const [entry, specs] = process.argv.slice(2);
const { Platform } = await import(entry);
const platform = new Platform();
await platform.listen({ port: 0 });
const plugins = await platform.addPlugins(JSON.parse(specs));
process.stdout.write(`${JSON.stringify(plugins.map(({ pid }) => pid))}\n`);
