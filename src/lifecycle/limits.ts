/** Limit of a step that only keeps the books and waits for nothing: every step has a limit. */
export const instantMs = 1_000;

/** Time limits of the steps of add, remove and replace, in milliseconds. All of them are options of the platform. */
export interface StepLimits {
  /** Launching and describing a plugin. */
  readonly describeMs: number;
  /** How long a refused connection is dialled again while a plugin opens its port. */
  readonly connectGraceMs: number;
  /** Handing out the identity. */
  readonly identifyMs: number;
  /** Getting healthy. */
  readonly healthMs: number;
  /** How long dependants of a removed plugin get to react. */
  readonly graceMs: number;
  /** How long calls in flight get to end. */
  readonly drainMs: number;
  /** How long a plugin gets to shut down. */
  readonly shutdownMs: number;
}
