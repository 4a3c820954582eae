import { AnswerWriter } from "./answer-writer.js";
import { BodyReader } from "./body-reader.js";
import type { ExchangeHandler, ServerExchange } from "./exchange.js";
import { fromHeaders, toHeaders } from "./field-list.js";
import { HttpClient } from "./http-client.js";
import { Http1Exchange } from "./http1-exchange.js";
import { Http2Exchange } from "./http2-exchange.js";
import { connectInMemory } from "./memory-connection.js";
import { type NodeFunction, nodeHandler } from "./node-handler.js";
import { createOnePortServer } from "./one-port-server.js";

// Fields of the connection in memory, which the caller does not see.
const ofConnection = ["connection", "keep-alive", "transfer-encoding"] as const;

/**
 * As {@link nodeHandler}, for exchanges of every kind: one that node:http knows nothing of is carried over a connection in memory,
 * so that the handler gets the objects that it expects. `100 Continue` and hints are not carried.
 */
export function anyNodeHandler(handler: NodeFunction): ExchangeHandler {
  const direct = nodeHandler(handler);
  let client: HttpClient | undefined;
  return (exchange) => {
    if (exchange instanceof Http1Exchange || exchange instanceof Http2Exchange) return direct(exchange);
    client ??= clientOf(direct);
    return carry(exchange, client);
  };
}

function clientOf(handler: ExchangeHandler): HttpClient {
  const server = createOnePortServer({ handler });
  const connect = () => {
    const [ours, theirs] = connectInMemory();
    server.accept(ours, { transport: "memory" });
    return theirs;
  };
  return new HttpClient({ origin: "http://host.invalid", prefix: "", connect, inMemory: true });
}

async function carry(exchange: ServerExchange, client: HttpClient): Promise<void> {
  const { head } = exchange;
  const gone = new AbortController();
  exchange.onEnd(({ kind }) => {
    if (kind !== "completed") gone.abort();
  });
  const header = toHeaders(head.fields);
  for (const name of ofConnection) header.delete(name);
  if (head.authority !== "") header.set("host", head.authority);
  const length = head.header("content-length");
  const hasBody = length === undefined ? head.method !== "GET" && head.method !== "HEAD" : !/^0+$/.test(length);
  const {
    status,
    header: answered,
    body,
    trailer,
  } = await client.send({
    path: head.target,
    method: head.method,
    header,
    signal: gone.signal,
    shape: "duplex",
    ...(hasBody && { body: new BodyReader(exchange.body) as AsyncIterable<Uint8Array> }),
  });
  for (const name of ofConnection) answered.delete(name);
  exchange.respond(status, fromHeaders(answered));
  const writer = new AnswerWriter(exchange);
  try {
    for await (const chunk of body) {
      const room = writer.write(chunk);
      if (room !== undefined) await room;
      if (exchange.ended !== undefined) return;
    }
  } catch {
    // The handler has cut its answer off, so nobody may take this one for whole.
    return exchange.abort();
  }
  exchange.end(fromHeaders(trailer));
}
