import type { DescMethod } from "@bufbuild/protobuf";
import { type CallKind, callKind } from "./frame.js";

/** How a method's calls begin on a link. */
export const callKinds: Readonly<Record<DescMethod["methodKind"], CallKind>> = {
  unary: callKind.unary,
  client_streaming: callKind.clientStream,
  server_streaming: callKind.serverStream,
  bidi_streaming: callKind.bidi,
};
