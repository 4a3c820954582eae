import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { LinkTransport } from "./link-transport.js";
import { SocketTransport } from "./socket-transport.js";
import { WsTransport } from "./ws-transport.js";

/** Where a host takes links, behind the path of its URL. */
export const linkPath = "/link/v1";

/** The subprotocol of links over WebSocket. */
export const linkSubprotocol = "connect-plugin-link.v1";

/** What `Upgrade` says for a link without WebSocket. */
export const linkUpgradeToken = "connect-plugin-link/1";

/** Largest WebSocket message that is taken. Batches are far smaller. */
export const maxWsMessageBytes = 4_194_304;

/**
 * Which kind of link an upgrade request asks for; undefined if for none. Looks neither at the path nor at credentials: do that
 * before {@link acceptLink}, and answer what is wrong in plain HTTP.
 */
export function requestedLink(request: IncomingMessage): "websocket" | "raw" | undefined {
  const upgrade = request.headers.upgrade?.toLowerCase();
  if (upgrade === linkUpgradeToken) return "raw";
  const protocols = request.headers["sec-websocket-protocol"]?.split(",") ?? [];
  return upgrade === "websocket" && protocols.some((name) => name.trim() === linkSubprotocol) ? "websocket" : undefined;
}

/**
 * Accepts a link that an HTTP/1.1 server's `upgrade` event asks for. Rejects if the caller has gone or its WebSocket
 * request was malformed (which it has been told then).
 */
export async function acceptLink(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<LinkTransport> {
  if (requestedLink(request) !== "websocket") {
    const fields = `Connection: Upgrade\r\nUpgrade: ${linkUpgradeToken}`;
    socket.write(`HTTP/1.1 101 Switching Protocols\r\n${fields}\r\n\r\n`);
    return new SocketTransport(socket, head);
  }
  const ignore = (): void => {};
  // While `ws` is loaded nobody else listens, and an error would end the process.
  socket.on("error", ignore);
  const { WebSocketServer } = await import("ws");
  socket.off("error", ignore);
  return new Promise((resolve, reject) => {
    const gone = (): void => reject(new Error("the connection ended before the WebSocket was open"));
    if (socket.destroyed) return gone();
    socket.once("close", gone);
    const server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      // Compressing small frames costs more than it saves, and a compressed bomb would need limits of its own.
      perMessageDeflate: false,
      maxPayload: maxWsMessageBytes,
      handleProtocols: () => linkSubprotocol,
    });
    server.handleUpgrade(request, socket, head, (webSocket) => {
      socket.off("close", gone);
      resolve(new WsTransport(webSocket));
    });
  });
}
