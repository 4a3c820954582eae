import { fromBinary } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { DurationSchema, durationMs } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";

/**
 * What a failure says of another attempt: the milliseconds to wait at least, `"never"` if it forbids one, undefined if it
 * says nothing. Read are `grpc-retry-pushback-ms`, the detail google.rpc.RetryInfo, and `Retry-After` in seconds.
 */
export function retryHint(error: ConnectError): number | "never" | undefined {
  const pushback = error.metadata.get("grpc-retry-pushback-ms");
  if (pushback !== null) return /^\d+$/.test(pushback) ? Number(pushback) : "never";
  const told = retryInfoMs(error);
  if (told !== undefined) return told;
  const after = error.metadata.get("retry-after");
  return after !== null && /^\d+(\.\d+)?$/.test(after) ? Number(after) * 1_000 : undefined;
}

function retryInfoMs({ details }: ConnectError): number | undefined {
  for (const detail of details) {
    if (!("value" in detail) || !("type" in detail) || detail.type !== "google.rpc.RetryInfo") continue;
    try {
      return readRetryInfo(detail.value);
    } catch {
      // What cannot be read says nothing.
    }
  }
  return undefined;
}

// `retry_delay` is the only field of google.rpc.RetryInfo.
const retryDelayField = 1;

function readRetryInfo(bytes: Uint8Array): number | undefined {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === retryDelayField) return Math.max(0, durationMs(fromBinary(DurationSchema, reader.bytes())));
    reader.skip(type, field);
  }
  return undefined;
}
