import { unlink } from "node:fs/promises";
import { connect } from "node:net";

/**
 * Removes the socket that a host left behind when it was killed: one that nobody listens on. Anything else at that path is
 * left alone, so that listening fails and says why.
 */
export async function removeStaleSocket(path: string): Promise<void> {
  const refusal = await new Promise<string | undefined>((resolve) => {
    const socket = connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.once("error", ({ code }: NodeJS.ErrnoException) => resolve(code));
  });
  // A file that is no socket refuses connections, too, but with another code.
  if (refusal === "ECONNREFUSED") await unlink(path);
}
