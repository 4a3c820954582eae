import { invalid } from "../errors.js";

/** What one side of a link takes from the other, and how long it waits. Counts and bytes are for one link. */
export interface LinkLimits {
  /** Payload of one frame. At least twice `maxHeadBytes`, `maxErrorBytes` and 16,384 more. @default 1_572_864 */
  readonly maxFrameBytes: number;
  /** Path and fields of one head, or trailers of one end, each field counted with 16 bytes more. @default 131_072 */
  readonly maxHeadBytes: number;
  /** Fields of one head or end. @default 4_096 */
  readonly maxFields: number;
  /**
   * Message and details of the error that a call ends with. More of them may still come if they fit, together with the
   * trailers, into `maxHeadBytes`. @default 1_048_576
   */
  readonly maxErrorBytes: number;
  /** One message, where whole messages are asked for. @default 16_777_216 */
  readonly maxMessageBytes: number;
  /** Calls that the other side may have open. @default 1_024 */
  readonly maxStreams: number;
  /** Our own calls that wait because the other side takes no more. @default 16_384 */
  readonly maxWaitingCalls: number;
  /** Unread bytes of one stream. @default 65_536 */
  readonly streamWindowBytes: number;
  /**
   * Unread bytes of all streams. With less than `maxStreams * streamWindowBytes`, streams that nobody reads can make the others wait.
   * @default 67_108_864
   */
  readonly linkWindowBytes: number;
  /** Paths, names and values that the other side may send as numbers. @default 256 */
  readonly tableSlots: number;
  /** Calls that the other side may cancel, or open beyond `maxStreams`, in a second. @default 10_000 */
  readonly maxResetsPerSecond: number;
  /** Pings, settings and unknown frames in a second. @default 100 */
  readonly maxPingsPerSecond: number;
  /** How long the other side's first frame may take. @default 10_000 */
  readonly helloTimeoutMs: number;
  /** Silence after which we ask whether the other side is still there. @default 3_000 */
  readonly keepAliveIntervalMs: number;
  /** Silence after such a question that ends the link. @default 7_000 */
  readonly keepAliveTimeoutMs: number;
  /** How long the connection may take none of our bytes. @default 30_000 */
  readonly writeStallTimeoutMs: number;
}

/** The limits of a link that was given none. */
export const defaultLinkLimits: LinkLimits = Object.freeze({
  maxFrameBytes: 1_572_864,
  // What the router takes as the head of a provider's answer over HTTP, with room for what the link adds to each field.
  maxHeadBytes: 131_072,
  maxFields: 4_096,
  maxErrorBytes: 1_048_576,
  maxMessageBytes: 16_777_216,
  maxStreams: 1_024,
  maxWaitingCalls: 16_384,
  streamWindowBytes: 65_536,
  linkWindowBytes: 67_108_864,
  tableSlots: 256,
  maxResetsPerSecond: 10_000,
  maxPingsPerSecond: 100,
  helloTimeoutMs: 10_000,
  keepAliveIntervalMs: 3_000,
  keepAliveTimeoutMs: 7_000,
  writeStallTimeoutMs: 30_000,
});

/**
 * Between two threads of one process: nothing on the way can fall silent, and a thread that is busy, or that somebody looks at
 * with a debugger, must not lose its only link. Whoever started the thread watches over it.
 */
export const heldLinkLimits = Object.freeze({
  // The longest time that Node's timers know.
  keepAliveIntervalMs: 2 ** 31 - 1,
}) satisfies Partial<LinkLimits>;

const smallest: Partial<LinkLimits> = { maxHeadBytes: 1_024, streamWindowBytes: 1_024, linkWindowBytes: 1_024 };
const zeroAllowed: ReadonlySet<string> = new Set(["tableSlots", "maxWaitingCalls", "maxErrorBytes"]);

/**
 * Fills the defaults in and checks.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` with the field's name
 */
export function resolveLinkLimits(given: Partial<LinkLimits> = {}): LinkLimits {
  const limits: LinkLimits = { ...defaultLinkLimits, ...given };
  for (const name of Object.keys(defaultLinkLimits) as (keyof LinkLimits)[]) {
    const value = limits[name];
    const least = smallest[name] ?? (zeroAllowed.has(name) ? 0 : 1);
    const rate = name.endsWith("PerSecond");
    if (!(value >= least && (Number.isSafeInteger(value) || (rate && value === Number.POSITIVE_INFINITY)))) {
      throw invalid(`link.${name}`, `is ${value}; it must be a whole number, at least ${least}`);
    }
    if (name.endsWith("WindowBytes") && value > maxWindowBytes) {
      throw invalid(`link.${name}`, `is ${value}; it must be at most ${maxWindowBytes}`);
    }
  }
  const frame = leastFrameBytes(limits);
  if (limits.maxFrameBytes < frame || limits.maxFrameBytes > 0xff_ffff) {
    throw invalid("link.maxFrameBytes", `is ${limits.maxFrameBytes}; it must be from ${frame} to ${0xff_ffff}`);
  }
  return Object.freeze(limits);
}

/** Largest window, so that counters of peers that use 32 bits do not overflow. */
export const maxWindowBytes = 2 ** 31 - 1;

/** A frame may carry a head, an end and a piece. */
export const leastFrameBytes = ({
  maxHeadBytes,
  maxErrorBytes,
}: Pick<LinkLimits, "maxHeadBytes" | "maxErrorBytes">): number => 2 * maxHeadBytes + maxErrorBytes + 16_384;
