import type { IncomingHttpHeaders } from "node:http2";
import type { FieldList, ServerExchange } from "./exchange.js";
import { hasField, noFields } from "./field-list.js";

/** Why a request is refused before any handler sees it. */
export interface Refusal {
  readonly status: number;
  readonly message: string;
}

const continueExpected = /(?:^|\W)100-continue(?:$|\W)/i;

function targetRefusal(method: string, target: string): Refusal | undefined {
  if (target === "*" && method === "OPTIONS") return undefined;
  if (target.charCodeAt(0) !== 47) return { status: 400, message: "the request target must begin with a slash" };
  for (let index = 0; index < target.length; index++) {
    const code = target.charCodeAt(index);
    if (code <= 32 || code >= 127 || code === 35) {
      return { status: 400, message: "the request target must be escaped and must not have a fragment" };
    }
  }
  return undefined;
}

/** Refuses what no handler of ours can serve, or what two programs in a row could understand differently. */
export function requestRefusal(
  method: string,
  target: string,
  expect: string | undefined,
  hosts: number,
): Refusal | undefined {
  if (method === "CONNECT" || method === "TRACE") return { status: 501, message: `${method} is not supported` };
  if (hosts > 1) return { status: 400, message: "the request must name one host" };
  if (expect !== undefined && !continueExpected.test(expect)) {
    return { status: 417, message: "the only expectation that is supported is 100-continue" };
  }
  return targetRefusal(method, target);
}

/** How many `Host` fields a request of node:http has; Node itself shows only the first. */
export function countHosts(rawHeaders: readonly string[]): number {
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string;
    if (name.length === 4 && name.toLowerCase() === "host") hosts += 1;
  }
  return hosts;
}

/** The same for HTTP/2, where a `host` field that says the same as `:authority` does not count. */
export function countAuthorities(headers: IncomingHttpHeaders, rawHeaders: readonly string[]): number {
  const hosts = countHosts(rawHeaders);
  const authority = headers[":authority"];
  if (authority === undefined || hosts === 0) return hosts;
  return authority.toLowerCase() === headers.host?.toLowerCase() ? hosts : hosts + 1;
}

/** Answers with a status and a short text, for faults below any protocol that a caller speaks over HTTP. */
export function answerPlain(
  exchange: ServerExchange,
  status: number,
  message: string,
  fields: FieldList = noFields,
): void {
  if (exchange.ended !== undefined || exchange.responded) return;
  const body = Buffer.from(`${message}\n`);
  const own = ["content-type", "text/plain; charset=utf-8", "content-length", String(body.length)];
  exchange.respond(status, [...own, ...fields.filter((_, index) => !hasField(own, fields[index - (index % 2)] ?? ""))]);
  exchange.response.write(body);
  exchange.end();
}
