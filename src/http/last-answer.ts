import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import type { Clock } from "../internal/clock.js";
import type { FieldList } from "./exchange.js";

/** How long a caller may take to read the last answer on a connection. */
const readTimeoutMs = 2_000;

/** The last answer on a connection, without the `connection` field. */
export interface LastAnswer {
  readonly status: number;
  readonly fields: FieldList;
  readonly body: Buffer;
}

/** A last answer that is one line of text. */
export function plainLastAnswer(status: number, message: string): LastAnswer {
  const body = Buffer.from(`${message}\n`);
  const fields = ["content-type", "text/plain; charset=utf-8", "content-length", String(body.length)];
  return { status, fields, body };
}

/**
 * Answers on a bare HTTP/1.1 connection that nobody else writes on, and closes it: at once when the caller has closed its
 * side, and otherwise when it had time to read.
 */
export function endWithAnswer(socket: Duplex, clock: Clock, { status, fields, body }: LastAnswer): void {
  if (!socket.writable) return void socket.destroy();
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Refused"}\r\nconnection: close\r\n`;
  for (let i = 0; i < fields.length; i += 2) head += `${fields[i]}: ${fields[i + 1]}\r\n`;
  socket.write(Buffer.concat([Buffer.from(`${head}\r\n`, "latin1"), body]));
  endGently(socket, clock);
}

/** Ends our side, and reads on for a while: a socket that is closed with unread bytes is reset, and the caller may lose the answer. */
export function endGently(socket: Duplex, clock: Clock): void {
  socket.end();
  socket.on("data", () => {}).resume();
  const timer = clock.after(readTimeoutMs, () => socket.destroy());
  socket.once("close", () => timer.cancel());
}
