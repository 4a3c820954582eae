import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";

// Above this the caller has to wait. What it sends meanwhile is rarely more than one request.
const maxHeldBytes = 64 * 1024;

/** The answer whose turn it is on a connection of node:http, which keeps it there. */
export const answerOn = (socket: Duplex): ServerResponse | undefined =>
  (socket as { _httpMessage?: ServerResponse | null })._httpMessage ?? undefined;

/**
 * Keeps what comes on a connection that node:http has let go of while answers are still on their way there, and does what
 * node would do for these: it tells them when the connection takes more, and sees that a caller is gone.
 *
 * @param first what has come already
 * @returns ends that, pauses the connection, and gives what has come
 */
export function holdInput(socket: Duplex, first: Buffer): () => Buffer {
  const held = [first];
  let bytes = first.length;
  const hold = (chunk: Buffer): void => {
    held.push(chunk);
    bytes += chunk.length;
    if (bytes > maxHeldBytes) socket.pause();
  };
  const drained = (): void => void answerOn(socket)?.emit("drain");
  // A caller who closes its sending side counts as gone.
  const ended = (): void => void socket.end();
  socket.on("data", hold).on("drain", drained).on("end", ended);
  return () => {
    socket.off("data", hold).off("drain", drained).off("end", ended).pause();
    // Set by node behind the last answer, and by itself forgotten.
    if ("setTimeout" in socket) (socket as Socket).setTimeout(0);
    return Buffer.concat(held);
  };
}
