import { type DescMessage, fromBinary, fromJsonString, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { MessageRules } from "../model/in-process-services.js";

/** @throws ConnectError `invalid_argument` if the bytes are no such message */
export function readMessage(
  type: DescMessage,
  bytes: Uint8Array,
  json: boolean,
  rules?: Pick<MessageRules, "jsonOptions">,
): Message {
  try {
    if (!json) return fromBinary(type, bytes);
    return fromJsonString(type, new TextDecoder().decode(bytes), { ignoreUnknownFields: true, ...rules?.jsonOptions });
  } catch (error) {
    throw ConnectError.from(error, Code.InvalidArgument);
  }
}

/** @throws ConnectError `internal` if the message cannot be written; `resource_exhausted` if it is larger than the rules allow */
export function writeMessage(
  type: DescMessage,
  message: Message,
  json: boolean,
  rules?: Pick<MessageRules, "jsonOptions" | "writeMaxBytes">,
): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = json ? new TextEncoder().encode(toJsonString(type, message, rules?.jsonOptions)) : toBinary(type, message);
  } catch (error) {
    throw ConnectError.from(error, Code.Internal);
  }
  if (rules !== undefined && bytes.length > rules.writeMaxBytes) {
    const text = `message size ${bytes.length} is larger than configured writeMaxBytes ${rules.writeMaxBytes}`;
    throw new ConnectError(text, Code.ResourceExhausted);
  }
  return bytes;
}

/** What callers are told whose message is larger than that; Connect's own servers say the same. */
export const tooLargeToRead = (readMaxBytes: number): ConnectError =>
  new ConnectError(`message size is larger than configured readMaxBytes ${readMaxBytes}`, Code.ResourceExhausted);
