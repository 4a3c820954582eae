import type { FieldList } from "./exchange.js";

/** A list without fields. */
export const noFields: FieldList = Object.freeze([]);

/** Copies a raw list of Node (any case, HTTP/2's pseudo-headers possible) with lower-case names and without pseudo-headers. */
export function toFieldList(raw: readonly string[]): FieldList {
  const fields: string[] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] as string;
    if (name.charCodeAt(0) === 58) continue;
    fields.push(name.toLowerCase(), raw[index + 1] as string);
  }
  return fields;
}

/**
 * Joins the parts that HTTP/2 may split a cookie into. Outside of HTTP/2 a request has one `cookie` field
 * (RFC 9113, 8.2.3), so nobody behind an exchange has to know of it.
 */
export function joinCookies(fields: FieldList): FieldList {
  const first = fields.indexOf("cookie");
  if (first === -1) return fields;
  const joined: string[] = [];
  let at = -1;
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = fields[index] as string;
    const value = fields[index + 1] as string;
    if (name !== "cookie") joined.push(name, value);
    else if (at === -1) at = joined.push(name, value) - 1;
    else joined[at] += `; ${value}`;
  }
  return joined;
}

/** The value of a field; several are joined with `, `. `name` is lower-case. */
export function fieldValue(fields: FieldList, name: string): string | undefined {
  let value: string | undefined;
  for (let index = 0; index + 1 < fields.length; index += 2) {
    if (fields[index] !== name) continue;
    value = value === undefined ? fields[index + 1] : `${value}, ${fields[index + 1]}`;
  }
  return value;
}

/** Whether a field of this (lower-case) name is in the list. */
export function hasField(fields: FieldList, name: string): boolean {
  for (let index = 0; index < fields.length; index += 2) if (fields[index] === name) return true;
  return false;
}

/** The fields as an object as Node's APIs take it: several values of one name become an array. */
export function toFieldObject(fields: FieldList): Record<string, string | string[]> {
  const object: Record<string, string | string[]> = Object.create(null);
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = fields[index] as string;
    const value = fields[index + 1] as string;
    const before = object[name];
    if (before === undefined) object[name] = value;
    else if (typeof before === "string") object[name] = [before, value];
    else before.push(value);
  }
  return object;
}

/** The fields of a Web `Headers` object; each `set-cookie` stays a field of its own. */
export function fromHeaders(headers: Headers | undefined): string[] {
  const fields: string[] = [];
  headers?.forEach((value, name) => {
    fields.push(name, value);
  });
  return fields;
}

/**
 * A Web `Headers` object of the fields.
 *
 * @throws TypeError if a name or value is not allowed in `Headers`
 */
export function toHeaders(fields: FieldList): Headers {
  const headers = new Headers();
  for (let index = 0; index + 1 < fields.length; index += 2) {
    headers.append(fields[index] as string, fields[index + 1] as string);
  }
  return headers;
}
