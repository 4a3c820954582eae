import { fromBinary, fromJsonString } from "@bufbuild/protobuf";
import { type HandshakeResponse, HandshakeResponseSchema } from "../../gen/connectplugin/v1/handshake_pb.js";

/** Flag and length in front of a message of gRPC. */
const frameHeadBytes = 5;

/**
 * Reads the body of an answer to a handshake, a character for each byte: JSON, binary, or one message of gRPC. Undefined if
 * it is none of them, such as an error.
 */
export function readHandshake(answer: string): HandshakeResponse | undefined {
  const bytes = Buffer.from(answer, "latin1");
  try {
    if (answer.startsWith("{")) {
      return fromJsonString(HandshakeResponseSchema, bytes.toString("utf8"), { ignoreUnknownFields: true });
    }
    return fromBinary(HandshakeResponseSchema, withoutFrame(bytes));
  } catch {
    return undefined;
  }
}

/** No message begins with a byte 0: field numbers begin with 1. */
function withoutFrame(bytes: Buffer): Buffer {
  if (bytes.length < frameHeadBytes || bytes[0] !== 0) return bytes;
  return bytes.subarray(frameHeadBytes, frameHeadBytes + bytes.readUInt32BE(1));
}
