/** Returns the folder of the build: `src/` and `examples/` as JavaScript, and a `package.json`. */
export function buildExamples(): string;
