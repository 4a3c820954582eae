// Sends every message back on the port that it was started with.
import { workerData } from "node:worker_threads";

workerData.on("message", (bytes) => workerData.postMessage(bytes));
