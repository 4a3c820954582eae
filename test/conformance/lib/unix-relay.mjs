import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A Unix socket that leads to a TCP port of this machine: the reference server opens no socket of that kind. */
export async function openUnixRelay(port) {
  const folder = mkdtempSync(join(tmpdir(), "conformance-"));
  const path = join(folder, "provider.sock");
  const connections = new Set();
  const server = net.createServer({ allowHalfOpen: true }, (near) => {
    const far = net.connect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true });
    for (const [one, other] of [
      [near, far],
      [far, near],
    ]) {
      connections.add(one);
      one.pipe(other);
      one.on("error", () => other.destroy());
      one.once("close", () => {
        connections.delete(one);
        other.destroy();
      });
    }
  });
  await new Promise((resolve, reject) => {
    server.once("error", reject).listen(path, resolve);
  });
  return {
    url: `unix:${path}`,
    close: async () => {
      for (const socket of connections) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
