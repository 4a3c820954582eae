import http from "node:http";
import http2 from "node:http2";
import { type Duplex, pipeline } from "node:stream";
import type { ServerExchange } from "../../src/http/exchange.js";

/** Passes a call on to a plugin as simply as a test's host may, and the answer back. Calls `failed` if nobody answers. */
export function forwardExchange(
  exchange: ServerExchange,
  base: string,
  connect: (() => Duplex) | undefined,
  path: string,
  failed: () => void,
): void {
  const fields: http.OutgoingHttpHeaders = {};
  const skipped = ["host", "connection", "authorization", "x-plugin-runtime-id", "transfer-encoding"];
  for (let i = 0; i < exchange.head.fields.length; i += 2) {
    const name = exchange.head.fields[i] ?? "";
    if (!skipped.includes(name)) fields[name] = exchange.head.fields[i + 1];
  }
  const caller = exchange.head.header("x-plugin-runtime-id");
  if (caller !== undefined) fields["x-plugin-caller-id"] = caller;
  const answerFields = (headers: object): string[] =>
    Object.entries(headers).flatMap(([name, value]) =>
      name.startsWith(":") || ["connection", "keep-alive", "transfer-encoding"].includes(name)
        ? []
        : [name, String(value)],
    );
  // Connections in memory carry HTTP/1.1 only.
  if (exchange.head.httpVersion === "2" && connect === undefined) {
    const session = http2.connect(base);
    session.on("error", failed);
    const stream = session.request({ ...fields, ":method": exchange.head.method, ":path": path });
    stream.on("response", (headers) => {
      exchange.respond(headers[":status"] ?? 502, answerFields(headers));
      stream.on("data", (chunk) => exchange.response.write(chunk));
      stream.on("end", () => {
        exchange.end();
        session.close();
      });
    });
    exchange.body.pipe(stream);
    return;
  }
  const request = http.request(
    base,
    {
      method: exchange.head.method,
      path,
      headers: fields,
      // With an agent, Node would not ask for our connection.
      ...(connect === undefined ? { agent: false } : { createConnection: connect as never }),
    },
    (response) => {
      exchange.respond(response.statusCode ?? 502, answerFields(response.headers));
      response.on("data", (chunk) => exchange.response.write(chunk));
      response.on("end", () => exchange.end());
      response.on("error", () => exchange.abort());
    },
  );
  request.on("error", failed);
  exchange.onEnd(() => request.destroy());
  pipeline(exchange.body, request, () => {});
}
