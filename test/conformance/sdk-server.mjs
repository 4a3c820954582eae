// A server for the conformance runner: the suite's service on the Connect server that plugins of the SDK run on.
import { readRequest, stopOnSignal, writeResponse } from "./lib/frames.mjs";
import { openFront } from "./lib/front.mjs";
import { conformanceImplementation } from "./lib/service.mjs";

const { request } = await readRequest();
const front = await openFront(conformanceImplementation, {
  direct: process.argv[2] !== "ordinary",
  ...(request.messageReceiveLimit > 0 && { readMaxBytes: request.messageReceiveLimit }),
});
stopOnSignal(() => {
  // Counted by run.mjs: a path that nothing takes proves nothing.
  console.error(`direct calls: ${front.directCalls()}`);
  return front.close();
});
writeResponse({ port: front.port });
