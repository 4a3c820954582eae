import { connect } from "node:net";
import type { Clock } from "../internal/clock.js";
import { deferred } from "../internal/deferred.js";
import { listenerOf } from "./process-listener.js";
import type { ProcessProgram } from "./process-program.js";

const firstTryMs = 5;
const longestTryMs = 100;

/** What to wait for. */
export interface ReadinessOptions {
  readonly program: Pick<ProcessProgram, "pid" | "exited" | "exit">;
  readonly port: number;
  /** The launch's secret. */
  readonly secret: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Waits until the program listens on the port.
 *
 * @returns `listening`: it is the program, or it cannot be told (outside Linux); `taken`: it is another process; `ended`:
 * the program ended before
 * @throws the signal's reason
 */
export async function untilListening(options: ReadinessOptions): Promise<"listening" | "taken" | "ended"> {
  const { program, port, secret, clock, signal } = options;
  for (let delayMs = firstTryMs; ; delayMs = Math.min(delayMs * 2, longestTryMs)) {
    signal.throwIfAborted();
    if (program.exit !== undefined) return "ended";
    const listener = await listenerOf(port, program.pid, secret);
    if (listener === "group") return "listening";
    if (listener === "other") return "taken";
    // Dialling is for systems that do not tell: now and then it takes the very port that the program is about to open.
    if (listener === "unknown" && (await accepts(port))) return "listening";
    await nextTry(delayMs, program, clock, signal);
  }
}

/** The time to the next try, cut short by the end of the program or of the wait. */
async function nextTry(
  delayMs: number,
  program: ReadinessOptions["program"],
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const { promise, resolve } = deferred();
  const wake = (): void => resolve();
  const timer = clock.after(delayMs, wake, true);
  signal.addEventListener("abort", wake, { once: true });
  await Promise.race([promise, program.exited]);
  signal.removeEventListener("abort", wake);
  timer.cancel();
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    const end = (isThere: boolean) => (): void => {
      socket.destroy();
      resolve(isThere);
    };
    socket.once("connect", end(true)).once("error", end(false));
  });
}
