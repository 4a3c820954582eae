import { invalid } from "./errors.js";
import { checkObject } from "./http/check-object.js";
import type { Clock } from "./internal/clock.js";
import type { Rate } from "./internal/token-bucket.js";
import { checkNumber, shownValue } from "./model/limits.js";

// Each returns what is to be used, and throws PluginHostError `INVALID_ARGUMENT` with the field. Callers without types can pass
// anything: each takes `unknown` where a wrong type would do harm.

export function checkBoolean(field: string, value: unknown): boolean {
  // A text such as "false" would be taken for yes.
  if (typeof value !== "boolean") throw invalid(field, `must be true or false, got ${shownValue(value)}`);
  return value;
}

export function checkWhole(field: string, value: number, min: number, max?: number): number {
  checkNumber(field, value, min, max);
  if (!Number.isInteger(value)) throw invalid(field, `must be a whole number, got ${value}`);
  return value;
}

export function checkFunction<T>(field: string, value: T | undefined): T | undefined {
  if (value !== undefined && typeof value !== "function") {
    throw invalid(field, `must be a function, got ${shownValue(value)}`);
  }
  return value;
}

export function checkOneOf<T extends string>(field: string, value: T, allowed: readonly T[]): T {
  if (allowed.includes(value)) return value;
  throw invalid(field, `must be one of ${allowed.join(", ")}, got ${shownValue(value)}`);
}

export function checkPath(field: string, value: unknown): string {
  if (typeof value !== "string" || value === "" || value.includes("\0")) {
    throw invalid(field, `must be a path, got ${shownValue(value)}`);
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
    throw invalid(field, `must be a URL, got ${shownValue(text)}`, cause);
  }
  if (!/^https?:$/.test(url.protocol) || url.search !== "" || url.hash !== "" || url.username + url.password !== "") {
    throw invalid(field, "must be an http or https URL without user, query and fragment");
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}

export function checkRate(field: string, rate: Rate | undefined): Rate | undefined {
  if (rate === undefined) return undefined;
  checkObject(field, rate, ["perSecond", "burst"]);
  const perSecond = checkNumber(`${field}.perSecond`, rate.perSecond, 0.001);
  return Object.freeze({ perSecond, burst: checkNumber(`${field}.burst`, rate.burst, 1) });
}

export function checkCookie(
  field: string,
  cookie: { readonly key: string; readonly value: string },
): { readonly key: string; readonly value: string } {
  checkObject(field, cookie, ["key", "value"]);
  for (const name of ["key", "value"] as const) {
    if (typeof cookie[name] !== "string" || cookie[name] === "") {
      throw invalid(`${field}.${name}`, `must be a text that is not empty, got ${shownValue(cookie[name])}`);
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
