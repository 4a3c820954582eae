import type { IncomingMessage } from "node:http";
import type { ConnectionInfo, RequestHead } from "../http/exchange.js";
import { fieldValue, toFieldList } from "../http/field-list.js";

/** The head of a request to upgrade in the form that the router reads. */
export function upgradeHead(request: IncomingMessage, connection: ConnectionInfo): RequestHead {
  const fields = toFieldList(request.rawHeaders);
  return {
    method: request.method ?? "",
    target: request.url ?? "",
    authority: request.headers.host ?? "",
    httpVersion: "1.1",
    fields,
    header: (name) => fieldValue(fields, name),
    connection,
  };
}
