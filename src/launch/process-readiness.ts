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
  /** Resolves when the program's link to the host is open. @default it never is */
  readonly linked?: Promise<void>;
}

/**
 * Waits until the host can reach the program: on its port, or over the link that it has dialled. One that listens when it
 * dials is reached in both ways.
 *
 * @returns `listening`: it is the program, or it cannot be told (outside Linux); `linked`: its link is open, and it does not
 * listen; `taken`: it is another process that listens; `ended`: the program ended before
 * @throws the signal's reason
 */
export async function untilReachable(options: ReadinessOptions): Promise<"listening" | "linked" | "taken" | "ended"> {
  const { program, port, secret, clock, signal, linked } = options;
  let isLinked = false;
  const link = linked?.then(() => {
    isLinked = true;
  });
  for (let delayMs = firstTryMs; ; delayMs = Math.min(delayMs * 2, longestTryMs)) {
    signal.throwIfAborted();
    if (program.exit !== undefined) return "ended";
    // As it was before the look, which then sees a port that was opened before the link.
    const wasLinked = isLinked;
    const listener = await listenerOf(port, program.pid, secret);
    if (listener === "group") return "listening";
    if (listener === "other" && !wasLinked) return "taken";
    // Dialling is for systems that do not tell: now and then it takes the very port that the program is about to open.
    if (listener === "unknown" && (await accepts(port))) return "listening";
    if (wasLinked) return "linked";
    if (!isLinked) await nextTry(delayMs, program, clock, signal, link);
  }
}

/** The time to the next try, cut short by a link, and by the end of the program or of the wait. */
async function nextTry(
  delayMs: number,
  program: ReadinessOptions["program"],
  clock: Clock,
  signal: AbortSignal,
  link: Promise<void> | undefined,
): Promise<void> {
  const { promise, resolve } = deferred();
  const wake = (): void => resolve();
  const timer = clock.after(delayMs, wake, true);
  signal.addEventListener("abort", wake, { once: true });
  await Promise.race(link === undefined ? [promise, program.exited] : [promise, program.exited, link]);
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
