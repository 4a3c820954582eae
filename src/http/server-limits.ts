import { invalid } from "../errors.js";
import { checkNumber } from "../model/limits.js";

/** What a server allows its callers. */
export interface HttpServerLimits {
  /** How long a connection may take to send its first bytes. @default 10_000 */
  readonly firstByteTimeoutMs?: number;
  /** How long an HTTP/1.1 caller may take to send a request's head; seen within a few seconds. @default 60_000 */
  readonly headersTimeoutMs?: number;
  /** How long an HTTP/1.1 connection is kept without a request. @default 60_000 */
  readonly keepAliveTimeoutMs?: number;
  /** Size of a request's head, and of its trailers. @default 32 KiB */
  readonly maxHeaderBytes?: number;
  /** Fields in a request's head; more are refused with 431. @default 200 */
  readonly maxHeaderCount?: number;
  /** Length of path and query together; longer ones are refused with 414. Never more than `maxHeaderBytes`. @default 16 KiB */
  readonly maxUrlBytes?: number;
  /** Requests at once on one HTTP/2 connection. @default 2_000 */
  readonly maxConcurrentStreams?: number;
  /** How far an HTTP/2 caller may send ahead of the reader of its request. @default 1 MiB */
  readonly streamWindowBytes?: number;
  /** How much may be under way on an HTTP/2 connection. @default 16 MiB */
  readonly connectionWindowBytes?: number;
  /** How much of a request is read and dropped after its answer, before its connection or stream is cut. @default 16 MiB */
  readonly dropMaxBytes?: number;
  /** How long a caller may go on sending its request after the answer. @default 5_000 */
  readonly dropTimeoutMs?: number;
}

const maxTimeoutMs = 2 ** 31 - 1;
const minWindowBytes = 65_535;
const maxWindowBytes = 2 ** 31 - 1;

/**
 * Fills in the defaults.
 *
 * @param field what the limits are called where they were given
 * @throws PluginHostError `INVALID_ARGUMENT` that names the limit
 */
export function resolveServerLimits(
  given: HttpServerLimits = {},
  field = "limits",
): Readonly<Required<HttpServerLimits>> {
  if (typeof given !== "object" || given === null) throw invalid(field, `must be an object, got ${String(given)}`);
  return Object.freeze({
    firstByteTimeoutMs: checkNumber(`${field}.firstByteTimeoutMs`, given.firstByteTimeoutMs ?? 10_000, 1, maxTimeoutMs),
    headersTimeoutMs: checkNumber(`${field}.headersTimeoutMs`, given.headersTimeoutMs ?? 60_000, 1, maxTimeoutMs),
    keepAliveTimeoutMs: checkNumber(`${field}.keepAliveTimeoutMs`, given.keepAliveTimeoutMs ?? 60_000, 1, maxTimeoutMs),
    maxHeaderBytes: checkNumber(`${field}.maxHeaderBytes`, given.maxHeaderBytes ?? 32 * 1024, 1_024, 16 * 1024 * 1024),
    maxHeaderCount: checkNumber(`${field}.maxHeaderCount`, given.maxHeaderCount ?? 200, 10, 10_000),
    maxUrlBytes: checkNumber(`${field}.maxUrlBytes`, given.maxUrlBytes ?? 16 * 1024, 256, 16 * 1024 * 1024),
    maxConcurrentStreams: checkNumber(`${field}.maxConcurrentStreams`, given.maxConcurrentStreams ?? 2_000, 1, 2 ** 31),
    streamWindowBytes: checkNumber(
      `${field}.streamWindowBytes`,
      given.streamWindowBytes ?? 1024 * 1024,
      minWindowBytes,
      maxWindowBytes,
    ),
    connectionWindowBytes: checkNumber(
      `${field}.connectionWindowBytes`,
      given.connectionWindowBytes ?? 16 * 1024 * 1024,
      minWindowBytes,
      maxWindowBytes,
    ),
    dropMaxBytes: checkNumber(`${field}.dropMaxBytes`, given.dropMaxBytes ?? 16 * 1024 * 1024, 0),
    dropTimeoutMs: checkNumber(`${field}.dropTimeoutMs`, given.dropTimeoutMs ?? 5_000, 0, maxTimeoutMs),
  });
}
