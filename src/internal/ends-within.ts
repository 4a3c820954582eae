import type { Clock } from "./clock.js";
import { deferred } from "./deferred.js";

/** Whether `work` ends, in whatever way, in time. Never rejects. */
export async function endsWithin(clock: Clock, limitMs: number, work: Promise<unknown>): Promise<boolean> {
  const late = deferred<false>();
  const timer = clock.after(limitMs, () => late.resolve(false), true);
  const ended = work.then(
    () => true,
    () => true,
  );
  const inTime = await Promise.race([ended, late.promise]);
  timer.cancel();
  return inTime;
}
