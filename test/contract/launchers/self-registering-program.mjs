// Serves one probe at the host that HOST_URL names, and says where it listens as soon as it does.
import { writeSync } from "node:fs";

const [, , sdk, module] = process.argv;
const { servePlugin } = await import(sdk);
const { default: plugin } = await import(module);

// It must not outlive the tests, however these end.
process.stdin.once("end", () => process.exit()).resume();

await servePlugin(plugin, {
  shutdownSignals: ["SIGTERM"],
  onEvent: (event) => {
    if (event.kind === "listening") writeSync(1, `${event.url}\n`);
  },
});
process.stdin.unref();
