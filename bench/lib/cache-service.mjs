// The service of the scenarios with typed clients: Get answers with the key itself as the value, so that answers can be checked.
import { create } from "@bufbuild/protobuf";
import { Cache, GetResponseSchema } from "../../examples/gen/cache/v1/cache_pb.js";

export { Cache };
export const protoFile = new URL("../../examples/proto/cache/v1/cache.proto", import.meta.url).pathname;

const encoder = new TextEncoder();

/** Methods that no scenario calls are there because a typed plugin has to have them. */
export const implementation = {
  get: ({ key }) => create(GetResponseSchema, { found: true, value: encoder.encode(key) }),
  set: () => ({}),
  async *watch() {},
};

const decoder = new TextDecoder();

/** A call of a Connect client, reduced to text in and text out. */
export const callOf = (client) => async (key) => {
  const { found, value } = await client.get({ key });
  return found ? decoder.decode(value) : undefined;
};
