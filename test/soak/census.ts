import http2 from "node:http2";
import { Socket } from "node:net";
import { queryObjects } from "node:v8";
import { Http1Exchange } from "../../src/http/http1-exchange.js";
import { Http2Exchange } from "../../src/http/http2-exchange.js";
import { ServerConnection } from "../../src/http/server-connection.js";
import { type Clock, systemClock } from "../../src/internal/clock.js";
import { LivePlugin } from "../../src/lifecycle/live-plugin.js";
import type { Platform } from "../../src/platform.js";
import { Watcher } from "../../src/registry/watcher.js";
import { ForwardedCall } from "../../src/router/forward.js";
import { UpstreamSession } from "../../src/router/http2-session.js";

/** The system's clock, which counts the timers that have neither fired nor been cancelled. */
export class CountingClock implements Clock {
  readonly #pending = new Set<object>();

  now = () => systemClock.now();
  monotonic = () => systemClock.monotonic();

  get pending(): number {
    return this.#pending.size;
  }

  after(delayMs: number, fire: () => void, keepAlive?: boolean) {
    const own = {};
    this.#pending.add(own);
    const timer = systemClock.after(
      delayMs,
      () => {
        this.#pending.delete(own);
        fire();
      },
      keepAlive,
    );
    return {
      cancel: () => {
        this.#pending.delete(own);
        timer.cancel();
      },
    };
  }
}

/** The classes of node:http2 that it does not export. */
async function http2Classes() {
  const server = http2.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const session = http2.connect(`http://127.0.0.1:${(server.address() as { port: number }).port}`);
  const stream = session.request({ ":path": "/" });
  stream.on("error", () => {});
  const classes = {
    http2Sessions: Object.getPrototypeOf(session.constructor),
    http2Streams: Object.getPrototypeOf(stream.constructor),
  };
  const closed = new Promise<void>((resolve) => session.once("close", () => resolve()));
  session.destroy();
  await closed;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return classes as Record<string, { new (): unknown }>;
}

/** What is alive: objects of the classes that stand for something open, timers, resources of the process. */
export async function createCensus(platform: Platform, clock: CountingClock) {
  const classes = {
    sockets: Socket,
    ...(await http2Classes()),
    serverConnections: ServerConnection,
    http1Exchanges: Http1Exchange,
    http2Exchanges: Http2Exchange,
    forwardedCalls: ForwardedCall,
    upstreamSessions: UpstreamSession,
    watchers: Watcher,
    plugins: LivePlugin,
  };
  return (): Record<string, number> => {
    const counts: Record<string, number> = { timersOfTheHost: clock.pending };
    for (const kind of process.getActiveResourcesInfo()) {
      // The test runner's own; the host's are counted above.
      if (kind !== "Timeout" && kind !== "Immediate") counts[kind] = (counts[kind] ?? 0) + 1;
    }
    for (const [name, type] of Object.entries(classes)) counts[name] = queryObjects(type) as number;
    counts.visiblePlugins = platform.plugins().length;
    counts.inFlight = platform.plugins().reduce((sum, { inFlight }) => sum + inFlight, 0);
    counts.processListeners = process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0);
    return counts;
  };
}

/** Bytes in use after everything that can be freed was freed. */
export function heapBytes(): number {
  const { gc } = globalThis as { gc?: () => void };
  if (gc === undefined) throw new Error("this test needs node --expose-gc");
  gc();
  gc();
  return process.memoryUsage().heapUsed;
}
