import type { FieldList } from "../http/exchange.js";
import { noFields } from "../http/field-list.js";

// Fields that say how a request over HTTP is written; the link has its own ways to say that. It says who calls, too.
const left: ReadonlySet<string> = new Set([
  "accept-encoding",
  "authorization",
  "connect-accept-encoding",
  "connect-content-encoding",
  "connect-protocol-version",
  "connect-timeout-ms",
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "host",
  "keep-alive",
  "te",
  "transfer-encoding",
  "upgrade",
  "x-plugin-runtime-id",
]);

/** What a caller gives a call to send, without what is HTTP's, and without credentials. */
export function callFields(given: ConstructorParameters<typeof Headers>[0]): FieldList {
  if (given === undefined) return noFields;
  const headers = given instanceof Headers ? given : new Headers(given);
  const fields: string[] = [];
  headers.forEach((value, name) => {
    if (!left.has(name)) fields.push(name, value);
  });
  return fields.length === 0 ? noFields : fields;
}
