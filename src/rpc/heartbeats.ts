import type { Clock, Timer } from "../internal/clock.js";
import { LatestChannel } from "../internal/latest-channel.js";

/** Passes values on, and a heartbeat whenever nothing came for `intervalMs`. 0 means no heartbeats. Ends with `signal`. */
export async function* withHeartbeats<T>(
  values: AsyncIterable<T>,
  clock: Clock,
  intervalMs: number,
  signal: AbortSignal,
): AsyncGenerator<T | "heartbeat"> {
  if (intervalMs === 0) return yield* values;
  const channel = new LatestChannel<"value" | "heartbeat", T | "heartbeat">();
  let timer: Timer | undefined;
  const restart = (): void => {
    timer?.cancel();
    timer = clock.after(intervalMs, () => {
      channel.put("heartbeat", "heartbeat");
      restart();
    });
  };
  const stop = (): void => channel.abort();
  signal.addEventListener("abort", stop, { once: true });
  let failure: { readonly error: unknown } | undefined;
  const iterator = values[Symbol.asyncIterator]();
  const pump = async (): Promise<void> => {
    try {
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
        channel.put("value", next.value);
        restart();
      }
    } catch (error) {
      failure = { error };
    }
    channel.close();
  };
  restart();
  void pump();
  try {
    yield* channel;
    if (failure !== undefined) throw failure.error;
  } finally {
    timer?.cancel();
    signal.removeEventListener("abort", stop);
    await iterator.return?.();
  }
}
