// Sessions of the link for benchmarks: one that echoes, and callers that keep so many calls in flight.
import { systemClock } from "../../dist/internal/clock.js";
import { callKind } from "../../dist/link/frame.js";
import { LinkSession } from "../../dist/link/link-session.js";
import { SocketTransport } from "../../dist/link/socket-transport.js";
import { WsTransport } from "../../dist/link/ws-transport.js";

const ignore = () => {};

/** Answers every message with itself. */
const echo = (stream) => ({
  onData(message) {
    stream.end(undefined, message);
    stream.consume();
  },
  onEnd: ignore,
  onReset: ignore,
});

/** A session over `transport`; without `onCall` it echoes. Resolves when the other side has greeted. */
export function linkSession(role, transport, { onCall = echo, ...more } = {}) {
  return new Promise((resolve, reject) => {
    const session = new LinkSession(transport, {
      role,
      clock: systemClock,
      onCall,
      onReady: () => resolve(session),
      onError: (error) => console.error(error),
      onClose: ({ message }) => reject(new Error(message)),
      ...more,
    });
  });
}

/** Both ends of a connection in this process; what is sent comes a tick later. */
export function memoryTransports() {
  const end = () => ({
    start(events) {
      this.events = events;
    },
    send(bytes) {
      process.nextTick(() => this.peer.events.data(bytes));
      return true;
    },
    close() {
      process.nextTick(() => {
        this.events.close();
        this.peer.events.close();
      });
    },
    destroy: ignore,
  });
  const [one, other] = [end(), end()];
  one.peer = other;
  other.peer = one;
  return [one, other];
}

/** Dials one of the programs of a benchmark. */
export async function dial(kind, port) {
  if (kind === "ws") {
    const { WebSocket } = await import("ws");
    const socket = new WebSocket(`ws://127.0.0.1:${port}/link/v1`, { perMessageDeflate: false });
    const transport = new WsTransport(socket);
    await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
    return transport;
  }
  const { connect } = await import("node:net");
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  return new SocketTransport(socket);
}

/** Takes connections; resolves with the port. */
export async function accept(kind, onTransport) {
  if (kind === "ws") {
    const { WebSocketServer } = await import("ws");
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: false });
    server.on("connection", (socket) => onTransport(new WsTransport(socket)));
    await new Promise((resolve) => server.once("listening", resolve));
    return server.address().port;
  }
  const { createServer } = await import("node:net");
  const server = createServer({ noDelay: true }, (socket) => onTransport(new SocketTransport(socket)));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server.address().port;
}

const head = { kind: callKind.unary, path: "/services/echo/any/echo.v1.Echo/Say", deadlineMs: 30_000, fields: [] };
const message = Buffer.from('{"message":"hello world!"}');

/** Ordinary calls for so long; resolves with how many there were in a second. Every answer is checked. */
export function unaryRate(session, inFlight, seconds) {
  return new Promise((resolve, reject) => {
    const begin = performance.now();
    const end = begin + seconds * 1_000;
    let done = 0;
    let open = inFlight;
    class Call {
      onData(bytes) {
        if (bytes.length !== message.length) return reject(new Error(`an answer of ${bytes.length} bytes`));
        this.stream.consume();
      }
      onEnd({ code }) {
        if (code !== 0) return reject(new Error(`an answer with code ${code}`));
        done += 1;
        // The clock costs more than a call should be charged for.
        if (done % 64 !== 0 || performance.now() < end) return call();
        finish = true;
        open -= 1;
        if (open === 0) resolve((done * 1_000) / (performance.now() - begin));
      }
      onReset(code, why) {
        reject(new Error(`${code} ${why}`));
      }
    }
    let finish = false;
    const call = () => {
      if (finish) {
        open -= 1;
        if (open === 0) resolve((done * 1_000) / (performance.now() - begin));
        return;
      }
      const handler = new Call();
      // As a promise would: a client's next call comes after its own code has run.
      handler.stream = session.open(head, handler, message, true);
    };
    for (let index = 0; index < inFlight; index++) call();
  });
}

/** Microseconds of one call at a time. */
export const unaryMicroseconds = async (session, seconds) => 1_000_000 / (await unaryRate(session, 1, seconds));

/** Streams so many bytes up in messages of 64 KiB; resolves with MiB a second. */
export function streamRate(session, megabytes) {
  return new Promise((resolve, reject) => {
    const begin = performance.now();
    const chunk = Buffer.alloc(65_536, 7);
    let left = megabytes * 16;
    const push = () => {
      while (left > 0) {
        left -= 1;
        if (!stream.send(chunk)) return;
      }
      stream.end();
    };
    const stream = session.open(
      { ...head, path: "/sink", deadlineMs: 0, kind: callKind.clientStream },
      {
        onDrain: push,
        onData: ignore,
        onEnd: () => resolve((megabytes * 1_000) / (performance.now() - begin)),
        onReset: (code, why) => reject(new Error(`${code} ${why}`)),
      },
    );
    push();
  });
}

/** Takes everything and answers at the end, or echoes. */
export const echoOrSink = (stream) =>
  stream.head.path !== "/sink"
    ? echo(stream)
    : { pieces: true, onData: () => stream.consume(), onEnd: () => stream.end(), onReset: ignore };
