import { type DescMessage, fromBinary, fromJsonString, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";

/** @throws ConnectError `invalid_argument` if the bytes are no such message */
export function readMessage(type: DescMessage, bytes: Uint8Array, json: boolean): Message {
  try {
    if (!json) return fromBinary(type, bytes);
    return fromJsonString(type, new TextDecoder().decode(bytes), { ignoreUnknownFields: true });
  } catch (error) {
    throw ConnectError.from(error, Code.InvalidArgument);
  }
}

/** @throws ConnectError `internal` if the message cannot be written */
export function writeMessage(type: DescMessage, message: Message, json: boolean): Uint8Array {
  try {
    return json ? new TextEncoder().encode(toJsonString(type, message)) : toBinary(type, message);
  } catch (error) {
    throw ConnectError.from(error, Code.Internal);
  }
}
