// Calls at a fixed rate, one by one instead of in bursts (h2load sends those of 10 ms at once), and how long each took.
import { connect } from "node:net";
import { percentile } from "./statistics.mjs";

/**
 * Starts `perSecond` calls a second, whether or not earlier ones have ended.
 *
 * @param call rejects if the answer is not the expected one
 * @returns `{ p50, p99 }` in microseconds, from the start of a call to the end of its answer
 */
export async function paced({ perSecond, seconds, warmUpSeconds = 0.3, call }) {
  const times = [];
  const pending = [];
  let failure;
  const begin = performance.now();
  for (let sent = 0; ; ) {
    const elapsed = (performance.now() - begin) / 1_000;
    if (elapsed > warmUpSeconds + seconds) break;
    if (failure !== undefined) throw failure;
    for (; sent < elapsed * perSecond; sent++) {
      const counts = elapsed > warmUpSeconds;
      const start = performance.now();
      const ended = () => {
        if (counts) times.push((performance.now() - start) * 1_000);
      };
      pending.push(call().then(ended, (error) => (failure = error)));
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(pending);
  if (failure !== undefined) throw failure;
  return { p50: percentile(times, 0.5), p99: percentile(times, 0.99) };
}

/** POSTs over kept HTTP/1.1 connections. Written on sockets, so that the caller adds little to what it measures. */
export class Http1Calls {
  #request;
  #answer;
  #target;
  #free = [];
  #all = new Set();

  /** `answer` is the body that every answer must have, with status 200. */
  constructor({ url, headers, body, answer }) {
    const { hostname, port, pathname } = new URL(url);
    const fields = { host: `${hostname}:${port}`, ...headers, "content-length": String(Buffer.byteLength(body)) };
    const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
    this.#request = Buffer.from(`POST ${pathname} HTTP/1.1\r\n${lines.join("")}\r\n${body}`);
    this.#target = { host: hostname, port: Number(port), noDelay: true };
    this.#answer = answer;
  }

  call() {
    const socket = this.#free.pop() ?? this.#dial();
    return new Promise((resolve, reject) => {
      let text = "";
      const settle = (outcome, value) => {
        socket.off("data", read).off("close", lost);
        outcome(value);
      };
      const lost = () => settle(reject, new Error("the connection was closed during a call"));
      const read = (more) => {
        text += more;
        if (!isComplete(text)) return;
        this.#free.push(socket);
        if (text.startsWith("HTTP/1.1 200 ") && text.includes(this.#answer)) settle(resolve);
        else settle(reject, new Error(`unexpected answer: ${text}`));
      };
      socket.on("data", read).once("close", lost);
      socket.write(this.#request);
    });
  }

  close() {
    for (const socket of this.#all) socket.destroy();
  }

  #dial() {
    const socket = connect(this.#target).setEncoding("latin1");
    this.#all.add(socket);
    // A close follows, which the call sees.
    socket.on("error", () => {});
    socket.once("close", () => {
      this.#all.delete(socket);
      this.#free = this.#free.filter((one) => one !== socket);
    });
    return socket;
  }
}

function isComplete(text) {
  const end = text.indexOf("\r\n\r\n");
  if (end === -1) return false;
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, end));
  return length === null ? text.endsWith("\r\n0\r\n\r\n") : text.length >= end + 4 + Number(length[1]);
}
