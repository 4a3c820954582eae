import http, { type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { hasBody } from "./h2c-upgrade.js";
import type { HttpServerLimits } from "./server-limits.js";

/** The limits that node:http sees to. */
export type Http1Limits = Readonly<
  Required<Pick<HttpServerLimits, "headersTimeoutMs" | "keepAliveTimeoutMs" | "maxHeaderBytes">>
>;

/**
 * Makes a server of node:http as we want it, without listeners for requests.
 *
 * @param isUpgrade whether a request for another protocol is not to be served like any other
 */
export function newHttp1Server(limits: Http1Limits, isUpgrade: (req: IncomingMessage) => boolean): http.Server {
  const { headersTimeoutMs, keepAliveTimeoutMs, maxHeaderBytes } = limits;
  // Newer versions of Node ask before they take a request for an upgrade; older ones hand over all of them, and what was
  // none is put back. Node 26 keeps the body of what it hands over, so that cannot be put back.
  const shouldUpgradeCallback = (req: IncomingMessage): boolean => isUpgrade(req) || !hasBody(req);
  const server = http.createServer({
    ...{ shouldUpgradeCallback },
    // Streams live as long as they like; what is limited is the time for a head.
    requestTimeout: 0,
    headersTimeout: headersTimeoutMs,
    connectionsCheckingInterval: Math.min(5_000, headersTimeoutMs),
    keepAliveTimeout: keepAliveTimeoutMs,
    maxHeaderSize: maxHeaderBytes,
    // Less than what is read at once would make every piece of a large body wait for the one before it.
    highWaterMark: 128 * 1024,
    // Checked with the rest of the head: Node would answer, and then serve what comes behind all the same.
    requireHostHeader: false,
    keepAlive: true,
    keepAliveInitialDelay: 60_000,
  });
  // Node would drop fields beyond a number of its own, in silence; they are counted where requests are checked.
  server.maxHeadersCount = 0;
  return server;
}

/**
 * Takes the connections of a server of node:http off it.
 *
 * @returns serves HTTP/1.1 on a connection; again on one that node has let go of for the sake of an upgrade that is ignored
 */
export function takeConnections(server: http.Server): (socket: Duplex) => void {
  const [listener] = server.listeners("connection");
  server.removeAllListeners("connection");
  return (socket) => {
    listener?.call(server, socket);
    removeTwins(socket);
    // Node 20 tells of a resume a tick after it was asked for, also when the socket was paused in between: it would read
    // on without end for a request whose body nobody reads. Once, and behind the listener that node has put there anew.
    socket.off("resume", pauseIfPaused).on("resume", pauseIfPaused);
    socket.resume();
  };
}

/** Node leaves some of its listeners on what is no socket of the system when it lets go of it. */
function removeTwins(socket: Duplex): void {
  for (const event of ["pause", "resume"]) {
    const seen = new Set<unknown>();
    for (const listener of socket.listeners(event)) {
      if (seen.has(listener)) socket.off(event, listener as () => void);
      seen.add(listener);
    }
  }
}

function pauseIfPaused(this: Duplex): void {
  if (this.isPaused()) this.emit("pause");
}
