import { invalid } from "./errors.js";
import type { Clock } from "./internal/clock.js";
import type { Rate } from "./internal/token-bucket.js";
import { checkName, checkNumber, shown } from "./model/limits.js";
import type { CheckedIngress, IngressOptions } from "./options.js";

// Callers without types can pass anything: each check takes `unknown` where a wrong type would do harm.

const nameOf = (value: unknown): string =>
  typeof value === "string" ? shown(value) : Array.isArray(value) ? "an array" : String(value);

/** Refuses what is no plain object of options, and names in it that are no options: a misspelt option has no effect. */
export function checkNames(field: string, given: unknown, known: readonly string[]): void {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw invalid(field, `must be an object, got ${nameOf(given)}`);
  }
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue;
    throw invalid(field === "options" ? name : `${field}.${name}`, `is not an option; there is ${known.join(", ")}`);
  }
}

export function checkBoolean(field: string, value: unknown): boolean {
  // A text such as "false" would be taken for yes.
  if (typeof value !== "boolean") throw invalid(field, `must be true or false, got ${nameOf(value)}`);
  return value;
}

export function checkWhole(field: string, value: number, min: number, max?: number): number {
  checkNumber(field, value, min, max);
  if (!Number.isInteger(value)) throw invalid(field, `must be a whole number, got ${value}`);
  return value;
}

export function checkFunction<T>(field: string, value: T | undefined): T | undefined {
  if (value !== undefined && typeof value !== "function") {
    throw invalid(field, `must be a function, got ${nameOf(value)}`);
  }
  return value;
}

export function checkOneOf<T extends string>(field: string, value: T, allowed: readonly T[]): T {
  if (allowed.includes(value)) return value;
  throw invalid(field, `must be one of ${allowed.join(", ")}, got ${nameOf(value)}`);
}

export function checkPath(field: string, value: unknown): string {
  if (typeof value !== "string" || value === "" || value.includes("\0")) {
    throw invalid(field, `must be a path, got ${nameOf(value)}`);
  }
  return value;
}

/** A secret: the message never shows what was given. */
export function checkSecret(field: string, value: unknown, pattern: RegExp, expected: string): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "string" || !pattern.test(value)) throw invalid(field, `must be ${expected}`);
  return value;
}

/** Returns it without a slash at the end. */
export function checkPublicUrl(text: unknown): string | undefined {
  if (text === undefined) return undefined;
  const field = "publicUrl";
  let url: URL;
  try {
    url = new URL(typeof text === "string" ? text : "");
  } catch (cause) {
    throw invalid(field, `must be a URL, got ${nameOf(text)}`, cause);
  }
  if (!/^https?:$/.test(url.protocol) || url.search !== "" || url.hash !== "" || url.username + url.password !== "") {
    throw invalid(field, "must be an http or https URL without user, query and fragment");
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}

export function checkRate(field: string, rate: Rate | undefined): Rate | undefined {
  if (rate === undefined) return undefined;
  checkNames(field, rate, ["perSecond", "burst"]);
  const perSecond = checkNumber(`${field}.perSecond`, rate.perSecond, 0.001);
  return Object.freeze({ perSecond, burst: checkNumber(`${field}.burst`, rate.burst, 1) });
}

export function checkCookie(
  field: string,
  cookie: { readonly key: string; readonly value: string },
): { readonly key: string; readonly value: string } {
  checkNames(field, cookie, ["key", "value"]);
  for (const name of ["key", "value"] as const) {
    if (typeof cookie[name] !== "string" || cookie[name] === "") {
      throw invalid(`${field}.${name}`, `must be a text that is not empty, got ${nameOf(cookie[name])}`);
    }
  }
  return Object.freeze({ key: cookie.key, value: cookie.value });
}

export function checkClock(field: string, clock: Clock): Clock {
  for (const name of ["now", "monotonic", "after"] as const) {
    if (typeof clock?.[name] !== "function") throw invalid(field, `must have the function ${name}`);
  }
  return clock;
}

/** Longest prefix first, which is the order in which they are tried. */
export function checkIngress(field: string, given: readonly IngressOptions[]): readonly CheckedIngress[] {
  if (!Array.isArray(given)) throw invalid(field, `must be an array, got ${nameOf(given)}`);
  const checked = given.map((one: IngressOptions, index) => checkOneIngress(`${field}[${index}]`, one));
  checked.forEach(({ prefix }, index) => {
    if (checked.findIndex((other) => other.prefix === prefix) === index) return;
    throw invalid(`${field}[${index}].prefix`, `is that of another one, ${shown(prefix || "/")}`);
  });
  return Object.freeze(checked.sort((a, b) => b.prefix.length - a.prefix.length));
}

function checkOneIngress(field: string, given: IngressOptions): CheckedIngress {
  checkNames(field, given, ["prefix", "type", "access", "accessTimeoutMs"]);
  const { prefix, type, access } = given;
  if (typeof prefix !== "string" || !/^\/[\x21-\x7e]*$/.test(prefix) || /[?#%\\]|\/\/|\.\./.test(prefix)) {
    throw invalid(`${field}.prefix`, `must be a plain path that begins with "/", got ${nameOf(prefix)}`);
  }
  checkName(`${field}.type`, type);
  if (access !== "open" && typeof access !== "function") {
    throw invalid(`${field}.access`, 'must be "open" or a function that checks a request');
  }
  const accessTimeoutMs = checkNumber(`${field}.accessTimeoutMs`, given.accessTimeoutMs ?? 10_000, 1);
  return Object.freeze({ accessTimeoutMs, prefix: prefix.replace(/\/+$/, ""), type, access });
}
