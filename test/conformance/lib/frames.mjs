import { spawn } from "node:child_process";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { message } from "./schema.mjs";

const prefixBytes = 4;

/** Reads one message with a big-endian 32-bit length in front of it. Rejects if `stream` ends first. */
export async function readFrame(stream) {
  let read = Buffer.alloc(0);
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    read = Buffer.concat([read, chunk]);
    if (read.length < prefixBytes) continue;
    const end = prefixBytes + read.readUInt32BE(0);
    if (read.length >= end) return read.subarray(prefixBytes, end);
  }
  throw new Error(`the stream ended after ${read.length} bytes of a message`);
}

/** Puts the length in front of `payload`. */
export function frame(payload) {
  const prefix = Buffer.alloc(prefixBytes);
  prefix.writeUInt32BE(payload.length, 0);
  return Buffer.concat([prefix, payload]);
}

/** What the runner asks of the server that it has just started. */
export async function readRequest() {
  return { request: fromBinary(message("ServerCompatRequest"), await readFrame(process.stdin)) };
}

/** The request with some of its fields changed. */
export const changed = (request, fields) => create(message("ServerCompatRequest"), { ...request, ...fields });

/** Tells the runner where the server listens. */
export function writeResponse({ port, pemCert = new Uint8Array() }) {
  const schema = message("ServerCompatResponse");
  process.stdout.write(frame(toBinary(schema, create(schema, { host: "127.0.0.1", port, pemCert }))));
}

/** Starts the reference server for this request. It ends with this process. */
export async function startReferenceServer(request) {
  const program = process.env.CONFORMANCE_REFERENCE_SERVER;
  if (!program)
    throw new Error("CONFORMANCE_REFERENCE_SERVER is not set; start the suite with test/conformance/run.mjs");
  const child = spawn(program, [], { stdio: ["pipe", "pipe", "inherit"] });
  process.once("exit", () => child.kill("SIGKILL"));
  child.stdin.write(frame(toBinary(message("ServerCompatRequest"), request)));
  const response = fromBinary(message("ServerCompatResponse"), await readFrame(child.stdout));
  return { port: response.port, stop: () => child.kill("SIGTERM") };
}

/** Runs `stop` when the runner has had enough, then ends. */
export function stopOnSignal(stop) {
  for (const signal of ["SIGTERM", "SIGINT"]) {
    process.once(signal, async () => {
      try {
        await stop();
      } finally {
        process.exit();
      }
    });
  }
}
