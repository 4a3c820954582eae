import type { ServerExchange } from "./exchange.js";
import { Http1Exchange } from "./http1-exchange.js";
import { Http2Exchange } from "./http2-exchange.js";

/** Takes one field out of a request, so that nobody sees it who gets the exchange from now on. `name` is lower-case. */
export function dropField(exchange: ServerExchange, name: string): void {
  // This is done for every call: most fields are told apart by the length of their names.
  dropFields(exchange, (other) => other.length === name.length && other.toLowerCase() === name);
}

/** As {@link dropField} for all fields that are unwanted. Names come as they were sent, in any case. */
export function dropFields(exchange: ServerExchange, isUnwanted: (name: string) => boolean): void {
  // Read before the lists below them change. All of them are this exchange's own.
  removeFrom(exchange.head.fields as string[], isUnwanted);
  if (!(exchange instanceof Http1Exchange) && !(exchange instanceof Http2Exchange)) return;
  // Handlers for node:http see these.
  const { headers, rawHeaders } = exchange instanceof Http1Exchange ? exchange.raw.req : exchange.raw;
  removeFrom(rawHeaders as string[], isUnwanted);
  for (const name in headers) if (isUnwanted(name)) delete headers[name];
}

function removeFrom(list: string[], isUnwanted: (name: string) => boolean): void {
  let kept = 0;
  for (let index = 0; index < list.length; index += 2) {
    const name = list[index] as string;
    if (isUnwanted(name)) continue;
    if (kept !== index) {
      list[kept] = name;
      list[kept + 1] = list[index + 1] as string;
    }
    kept += 2;
  }
  list.length = kept;
}
