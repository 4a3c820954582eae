// The process of one scenario: runs it, and hands its result to the parent.
const [, , name, options] = process.argv;
const { run } = await import(`../scenarios/${name}.mjs`);
const result = await run(JSON.parse(options));
process.send(result, () => process.disconnect());
