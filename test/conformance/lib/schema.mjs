import { readFileSync } from "node:fs";
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

/**
 * The suite's own messages and service, read from the descriptor set that `run.mjs` builds out of the suite's protos. Nothing
 * of them is generated into the repository.
 */
const descriptors = process.env.CONFORMANCE_DESCRIPTORS;
if (!descriptors) throw new Error("CONFORMANCE_DESCRIPTORS is not set; start the suite with test/conformance/run.mjs");

export const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(descriptors)));

const found = (kind, desc, name) => {
  if (!desc) throw new Error(`${descriptors} has no ${kind} ${name}`);
  return desc;
};

/** The message `connectrpc.conformance.v1.<name>`. */
export const message = (name) => {
  const typeName = `connectrpc.conformance.v1.${name}`;
  return found("message", registry.getMessage(typeName), typeName);
};

/** The service under test. */
export const conformanceService = found(
  "service",
  registry.getService("connectrpc.conformance.v1.ConformanceService"),
  "connectrpc.conformance.v1.ConformanceService",
);
