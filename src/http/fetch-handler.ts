import { AnswerWriter } from "./answer-writer.js";
import { BodyReader } from "./body-reader.js";
import type { ExchangeHandler, RequestHead, ServerExchange } from "./exchange.js";
import { fromHeaders, toHeaders } from "./field-list.js";

/** A handler in the form of the Fetch standard, as Hono and others offer it. */
export type FetchFunction = (request: Request) => Response | Promise<Response>;

/**
 * Serves exchanges with a fetch-style handler. Bodies are streamed both ways; the request's signal aborts when the
 * caller goes away. A Host that is not usable in a URL is replaced by `host.invalid` there.
 */
export function fetchHandler(handler: FetchFunction): ExchangeHandler {
  return async (exchange) => {
    const response = await handler(toRequest(exchange));
    exchange.respond(response.status, fromHeaders(response.headers), response.body === null);
    if (response.body !== null) await sendBody(exchange, response.body);
  };
}

function toRequest(exchange: ServerExchange): Request {
  const { head } = exchange;
  const gone = new AbortController();
  exchange.onEnd(({ kind }) => {
    if (kind !== "completed") gone.abort();
  });
  const init: RequestInit = { method: head.method, headers: toHeaders(head.fields), signal: gone.signal };
  // The standard has no body for these two.
  if (!exchange.bodyless && head.method !== "GET" && head.method !== "HEAD") {
    init.body = toWebStream(exchange);
    init.duplex = "half";
  }
  return new Request(urlOf(head), init);
}

const usableAuthority = /^(?:[a-z0-9._~-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i;

function urlOf(head: RequestHead): string {
  const scheme = head.connection.encrypted ? "https" : "http";
  const path = head.target.startsWith("/") ? head.target : "/";
  const url = `${scheme}://${head.authority}${path}`;
  return usableAuthority.test(head.authority) && URL.canParse(url) ? url : `${scheme}://host.invalid${path}`;
}

function toWebStream(exchange: ServerExchange): ReadableStream<Uint8Array> {
  const reader = new BodyReader(exchange.body);
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await reader.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        await reader.return();
      },
    },
    // Nothing is read before the handler asks, so that `100 Continue` waits for it too.
    { highWaterMark: 0 },
  );
}

async function sendBody(exchange: ServerExchange, body: ReadableStream<Uint8Array>): Promise<void> {
  const reader = body.getReader();
  const writer = new AnswerWriter(exchange);
  const cancel = (): void => void reader.cancel().catch(() => {});
  exchange.onEnd(({ kind }) => {
    if (kind !== "completed") cancel();
  });
  for (;;) {
    const { done, value } = await reader.read();
    if (exchange.ended !== undefined) return;
    if (done) break;
    const room = writer.write(value);
    if (room !== undefined) await room;
  }
  exchange.end();
}
