import type { ExchangeEnd, ServerExchange } from "./exchange.js";

/**
 * Reads a body whose length is known to be small enough. Undefined if the exchange ends before the body does: then nobody
 * waits for an answer. `onEnd` is told of the end of the exchange, whenever it comes.
 */
export function wholeBody(exchange: ServerExchange, onEnd: (end: ExchangeEnd) => void): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    exchange.onEnd((end) => {
      resolve(undefined);
      onEnd(end);
    });
    if (exchange.bodyless) return resolve(nothing);
    const { body } = exchange;
    let first: Buffer | undefined;
    let all: Buffer[] | undefined;
    body.on("data", (chunk: Buffer) => {
      if (first === undefined) first = chunk;
      else if (all === undefined) all = [first, chunk];
      else all.push(chunk);
    });
    body.on("end", () => resolve(all === undefined ? (first ?? nothing) : Buffer.concat(all)));
  });
}

const nothing = Buffer.alloc(0);
