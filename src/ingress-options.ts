import { invalid } from "./errors.js";
import { checkObject } from "./http/check-object.js";
import type { RequestHead } from "./http/exchange.js";
import { checkName, checkNumber, shown, shownValue } from "./model/limits.js";

/** Decides whether the user of an exposed service may call: the user's name, or undefined to refuse with `unauthenticated`. */
export type IngressCheck = (head: RequestHead) => string | undefined | Promise<string | undefined>;

/** A service type that callers without a plugin's identity reach under a path of the host. */
export interface IngressOptions {
  /** Such as `/` or `/api`. The longest prefix that fits a request wins; the host's own paths come before all of them. */
  readonly prefix: string;
  /** The service type. A provider is chosen for each call, as for `/services/<type>/any/`. */
  readonly type: string;
  /** `open` for everybody, or a check of each request. */
  readonly access: "open" | IngressCheck;
  /** How long the check may take; then, and if it throws, the caller gets `unavailable`. @default 10_000 */
  readonly accessTimeoutMs?: number;
}

/** An exposed service that was checked, its prefix without a slash at the end. */
export type CheckedIngress = Readonly<Required<IngressOptions>>;

/** Longest prefix first, which is the order in which they are tried. @throws PluginHostError `INVALID_ARGUMENT` */
export function resolveIngress(field: string, given: readonly IngressOptions[]): readonly CheckedIngress[] {
  if (!Array.isArray(given)) throw invalid(field, `must be an array, got ${shownValue(given)}`);
  const checked = given.map((one: IngressOptions, index) => resolveOne(`${field}[${index}]`, one));
  checked.forEach(({ prefix }, index) => {
    if (checked.findIndex((other) => other.prefix === prefix) === index) return;
    throw invalid(`${field}[${index}].prefix`, `is that of another one, ${shown(prefix || "/")}`);
  });
  return Object.freeze(checked.sort((a, b) => b.prefix.length - a.prefix.length));
}

function resolveOne(field: string, given: IngressOptions): CheckedIngress {
  checkObject(field, given, ["prefix", "type", "access", "accessTimeoutMs"]);
  const { prefix, type, access } = given;
  if (typeof prefix !== "string" || !/^\/[\x21-\x7e]*$/.test(prefix) || /[?#%\\]|\/\/|\.\./.test(prefix)) {
    throw invalid(`${field}.prefix`, `must be a plain path that begins with "/", got ${shownValue(prefix)}`);
  }
  checkName(`${field}.type`, type);
  if (access !== "open" && typeof access !== "function") {
    throw invalid(`${field}.access`, 'must be "open" or a function that checks a request');
  }
  const accessTimeoutMs = checkNumber(`${field}.accessTimeoutMs`, given.accessTimeoutMs ?? 10_000, 1);
  return Object.freeze({ accessTimeoutMs, prefix: prefix.replace(/\/+$/, ""), type, access });
}
