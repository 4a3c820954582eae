import { once } from "node:events";
import net, { type AddressInfo, type Socket } from "node:net";

/** Stands between two ends of TCP connections, and can do to them what networks do. */
export interface TcpTap extends AsyncDisposable {
  readonly port: number;
  /** Ends the direction towards who connected; the other one stays open. */
  endTowardsClient(): void;
  /** Ends the direction towards the server; the other one stays open. */
  endTowardsServer(): void;
  /** From now on nothing of the present connections gets through, and nobody is told. New connections are as ever. */
  vanish(): void;
  /** Resolves when everybody who connected has ended the direction towards us. */
  whenClientsEnded(): Promise<void>;
  /** Connections made so far. */
  readonly connections: () => number;
}

/** Starts a tap in front of a port of this machine. */
export async function startTap(serverPort: number): Promise<TcpTap> {
  const pairs: { readonly client: Socket; readonly server: Socket }[] = [];
  let connections = 0;
  const listener = net.createServer({ allowHalfOpen: true }, (client) => {
    connections++;
    const server = net.connect({ port: serverPort, host: "127.0.0.1", allowHalfOpen: true });
    pairs.push({ client, server });
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.on("error", () => {});
      from.pipe(to);
      from.on("close", () => to.destroy());
    }
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  return {
    port: (listener.address() as AddressInfo).port,
    connections: () => connections,
    whenClientsEnded: async () => {
      await Promise.all(pairs.filter(({ client }) => !client.readableEnded).map(({ client }) => once(client, "end")));
    },
    endTowardsClient: () => {
      for (const { client, server } of pairs) {
        server.unpipe(client);
        server.resume();
        client.end();
      }
    },
    endTowardsServer: () => {
      for (const { client, server } of pairs) {
        client.unpipe(server);
        client.resume();
        server.end();
      }
    },
    vanish: () => {
      for (const { client, server } of pairs) {
        for (const [from, to] of [
          [client, server],
          [server, client],
        ] as const) {
          from.unpipe(to);
          // A peer that is gone takes nothing in, and its end of the connection is seen by nobody.
          from.removeAllListeners("close").pause();
        }
      }
    },
    async [Symbol.asyncDispose]() {
      const closed = once(listener, "close");
      listener.close();
      for (const { client, server } of pairs) {
        client.destroy();
        server.destroy();
      }
      await closed;
    },
  };
}
