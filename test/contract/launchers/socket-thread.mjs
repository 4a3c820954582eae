// Serves one probe on a Unix socket, in a thread of a launcher that is none of the host's own.
import { parentPort, workerData } from "node:worker_threads";

const { sdk, module, path } = workerData;
const { servePlugin } = await import(sdk);
const { default: plugin } = await import(module);
await servePlugin(plugin, {
  path,
  env: {},
  onEvent: ({ kind }) => {
    if (kind === "listening") parentPort.postMessage("listening");
  },
});
