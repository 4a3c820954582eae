/**
 * How long a connection may idle: less than what the provider's `Keep-Alive` field says, so that it is never the provider
 * who closes it just when a call goes out.
 */
export function idleMsFor(keepAlive: string | undefined, idleSocketMs: number): number {
  const hint = keepAlive === undefined ? null : /(?:^|[,;\s])timeout=(\d{1,9})/i.exec(keepAlive);
  if (hint === null) return idleSocketMs;
  const peerMs = Number(hint[1]) * 1_000;
  // A second's distance, or half of it where a second is all there is.
  return Math.min(idleSocketMs, Math.max(peerMs - 1_000, peerMs / 2));
}
