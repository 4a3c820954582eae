import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A program that knows nothing of plugins: answers every GET with its name. */
export interface PlainProvider {
  readonly address: string;
  close(): Promise<void>;
}

/** Starts a provider on a free port of 127.0.0.1. */
export async function startPlainProvider(name: string): Promise<PlainProvider> {
  const server = createServer((request, response) => {
    if (request.method !== "GET") response.statusCode = 404;
    response.end(name);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
