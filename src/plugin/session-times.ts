/** Times of a plugin's session with its host, all in milliseconds. */
export interface SessionTimes {
  /** Time limit of one call to the host's own services. @default 10_000 */
  readonly hostCallTimeoutMs: number;
  /** How often a self-registered plugin shows that it lives, and finds out that its host was restarted. @default 5_000 */
  readonly heartbeatMs: number;
  /** How often a self-registered plugin renews its token. @default 28_800_000 (8 hours) */
  readonly renewMs: number;
}

/** What is used where nothing else is said. */
export const defaultTimes: SessionTimes = Object.freeze({
  hostCallTimeoutMs: 10_000,
  heartbeatMs: 5_000,
  renewMs: 8 * 60 * 60 * 1_000,
});
