import { STATUS_CODES, validateHeaderName, validateHeaderValue } from "node:http";
import type { FieldList } from "./exchange.js";

// What an answer without a body cannot have (RFC 9110, 8.6; RFC 9112, 6.1), and what is of one connection only.
const forbidden: ReadonlySet<string> = new Set([
  "content-length",
  "transfer-encoding",
  "connection",
  "keep-alive",
  "upgrade",
]);

/** Whether an exchange passes on a 1xx answer of this status. 100 and 101 are of one connection only. */
export const isInterim = (status: number): boolean => Number.isInteger(status) && status > 101 && status < 200;

/** The fields that a 1xx answer may have; undefined if one of them is not valid. */
export function toInterimFields(given: FieldList): FieldList | undefined {
  const fields = given.filter((_, index) => !forbidden.has(given[index - (index % 2)] as string));
  try {
    for (let index = 0; index + 1 < fields.length; index += 2) {
      validateHeaderName(fields[index] as string);
      validateHeaderValue(fields[index] as string, fields[index + 1] as string);
    }
  } catch {
    return undefined;
  }
  return fields;
}

/** A 1xx answer as HTTP/1.1 sends it, as latin1; undefined if one of its fields is not valid. */
export function toInterimHead(status: number, given: FieldList): string | undefined {
  const fields = toInterimFields(given);
  if (fields === undefined) return undefined;
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n`;
  for (let index = 0; index + 1 < fields.length; index += 2) head += `${fields[index]}: ${fields[index + 1]}\r\n`;
  return `${head}\r\n`;
}
