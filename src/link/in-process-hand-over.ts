import { type DescMessage, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { MessageCopier } from "./in-process-copy.js";

/**
 * A copy of a message of one side's type as a message of the other side's. Two plugins may have come with two generated
 * files of one type; then what one of them does not know stays with the message, as on a wire.
 *
 * @throws ConnectError `internal` if the message cannot be written
 */
export function handOver(copier: MessageCopier, message: Message, from: DescMessage, to: DescMessage): Message {
  try {
    return from === to ? copier.copy(from, message) : fromBinary(to, toBinary(from, message));
  } catch (error) {
    throw ConnectError.from(error, Code.Internal);
  }
}
