import type { TestServer } from "../../support/http-server.js";
import type { RouterHost } from "../../support/router-host.js";
import { startTap, type TcpTap } from "../../support/tcp-tap.js";
import { type CellOptions, inCell, type OpenCell } from "./cell.js";
import type { Cell } from "./kinds.js";
import type { Serve } from "./provider.js";

/** Plays with a tap between host and provider. */
export async function withBackTap(
  cell: Cell,
  serve: Serve,
  play: (open: OpenCell, tap: TcpTap) => Promise<void>,
  options: CellOptions = {},
): Promise<void> {
  let tap: TcpTap | undefined;
  await inCell(cell, serve, (open) => play(open, tap as TcpTap), {
    ...options,
    back: async (provider) => {
      tap = await startTap(provider.port);
      return tap;
    },
  });
}

/** Plays with a tap between caller and host. */
export async function withFrontTap(
  cell: Cell,
  serve: Serve,
  play: (open: OpenCell, tap: TcpTap) => Promise<void>,
  options: CellOptions = {},
): Promise<void> {
  let tap: TcpTap | undefined;
  await inCell(cell, serve, (open) => play(open, tap as TcpTap), {
    ...options,
    front: async (host: RouterHost): Promise<TestServer> => {
      const { connect } = await import("node:net");
      const own = await startTap(host.port);
      tap = own;
      return {
        ...host,
        port: own.port,
        url: `http://127.0.0.1:${own.port}`,
        connect: () => connect(own.port, "127.0.0.1"),
        [Symbol.asyncDispose]: () => own[Symbol.asyncDispose](),
      };
    },
  });
}
