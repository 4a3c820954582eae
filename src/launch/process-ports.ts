import { createServer } from "node:net";

/**
 * Chooses ports for programs. The system gives a port that is free now; this makes sure that no two launches get the same
 * one while neither of them listens yet.
 */
export class ProcessPorts {
  readonly #taken = new Set<number>();

  /** A port on which nobody listens. Give it back with `release` when the program is gone. */
  async take(): Promise<number> {
    for (;;) {
      const port = await bindOnce(0);
      // Every other port would have to be taken for this to go on.
      if (this.#taken.has(port)) continue;
      this.#taken.add(port);
      return port;
    }
  }

  release(port: number): void {
    this.#taken.delete(port);
  }

  /** Whether a program could listen on the port now. */
  async isFree(port: number): Promise<boolean> {
    try {
      await bindOnce(port);
      return true;
    } catch {
      return false;
    }
  }
}

function bindOnce(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === "string") reject(new Error("a TCP server has no port"));
        else resolve(address.port);
      });
    });
  });
}
