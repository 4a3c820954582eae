import type { JsonReadOptions, JsonWriteOptions } from "@bufbuild/protobuf";
import { invalid } from "../errors.js";
import { checkObject } from "../http/check-object.js";
import { checkNumber, shownValue } from "../model/limits.js";

/**
 * How the provided services with a description read and write their messages. It holds on every way to the plugin: its own
 * port, HTTP and calls over a link, a worker's link, and calls within the host's process.
 *
 * A size is that of one message, not of a whole stream: its bytes as they travel, decompressed. Within the process nothing is
 * written as bytes; there it is what the binary form would take, and is counted only where a limit is set.
 */
export interface ConnectServerOptions {
  /**
   * The largest message that is read, in bytes, from 1 to 4,294,967,295. A larger one is `resource_exhausted`, and the implementation
   * does not see it. @default 4_294_967_295
   */
  readonly readMaxBytes?: number;
  /**
   * The largest message that is sent, in bytes, from 1 to 4,294,967,295. In the place of a larger one callers get `resource_exhausted`.
   * @default 4_294_967_295
   */
  readonly writeMaxBytes?: number;
  /** Smaller messages are not compressed, in bytes. For HTTP: links do not compress. @default 1_024 */
  readonly compressMinBytes?: number;
  /**
   * How JSON is read and written. `registry` is needed for messages with a `google.protobuf.Any` or extensions. Fields that are
   * unknown are ignored unless `ignoreUnknownFields` is false.
   */
  readonly jsonOptions?: Partial<JsonReadOptions & JsonWriteOptions>;
}

/** Checked options with their defaults. */
export interface ResolvedConnectServer {
  readonly readMaxBytes: number;
  readonly writeMaxBytes: number;
  readonly compressMinBytes: number;
  readonly jsonOptions: Partial<JsonReadOptions & JsonWriteOptions>;
}

/** The most that Connect allows. */
export const largestMessageBytes = 2 ** 32 - 1;

const known = ["readMaxBytes", "writeMaxBytes", "compressMinBytes", "jsonOptions"] as const;

/** @throws PluginHostError `INVALID_ARGUMENT` that names the field */
export function resolveConnectServer(field: string, given: ConnectServerOptions = {}): ResolvedConnectServer {
  checkObject(field, given, known);
  const bytes = (name: Exclude<(typeof known)[number], "jsonOptions">, least: number, usual: number): number => {
    const value = checkNumber(`${field}.${name}`, given[name] ?? usual, least, largestMessageBytes);
    if (!Number.isInteger(value)) throw invalid(`${field}.${name}`, `must be a whole number, got ${value}`);
    return value;
  };
  return Object.freeze({
    readMaxBytes: bytes("readMaxBytes", 1, largestMessageBytes),
    writeMaxBytes: bytes("writeMaxBytes", 1, largestMessageBytes),
    compressMinBytes: bytes("compressMinBytes", 0, 1_024),
    jsonOptions: checkJsonOptions(`${field}.jsonOptions`, given.jsonOptions ?? {}),
  });
}

// Their names are Protobuf's to know, of which the program may have a later version.
function checkJsonOptions(
  field: string,
  given: Partial<JsonReadOptions & JsonWriteOptions>,
): Partial<JsonReadOptions & JsonWriteOptions> {
  checkObject(field, given, Object.keys(given));
  const { registry } = given;
  if (registry !== undefined && registry?.kind !== "registry") {
    throw invalid(`${field}.registry`, `must be a registry of descriptions, got ${shownValue(registry)}`);
  }
  return Object.freeze({ ...given });
}
