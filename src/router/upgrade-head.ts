import type { IncomingMessage } from "node:http";
import type { ConnectionInfo, RequestHead } from "../http/exchange.js";
import { fieldValue, toFieldList, toFieldObject } from "../http/field-list.js";
import { viaEntry } from "./request-headers.js";
import { responseFields } from "./response-headers.js";

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

/**
 * The fields with which a provider switches protocols as the caller gets them: filtered like those of any answer, with
 * those of the switch itself put back.
 */
export function switchingFields(raw: readonly string[], viaName: string): Record<string, string | string[]> {
  const given = toFieldList(raw);
  const passed = toFieldObject(responseFields(given, viaEntry("1.1", viaName), false));
  // An answer of this kind has no body that could have a length (RFC 9110, 8.6).
  delete passed["content-length"];
  return { connection: "Upgrade", upgrade: fieldValue(given, "upgrade") ?? "", ...passed };
}
