import { invalid } from "../errors.js";

const namePattern = /^[a-zA-Z][a-zA-Z0-9_.-]*$/;
const maxNameBytes = 128;
const maxPathBytes = 256;
const maxMethods = 100;
const maxMetadataEntries = 100;
const maxMetadataKeyBytes = 256;
const maxMetadataValueBytes = 4096;

/** Shows a value that came from outside in an error: quoted, escaped, and never longer than a line. */
export const shown = (value: string): string => JSON.stringify(value.length > 80 ? `${value.slice(0, 77)}...` : value);

/** Shows a value of any type: a text as {@link shown} does, nothing of what is inside of an object. */
export function shownValue(value: unknown): string {
  if (typeof value === "string") return shown(value);
  if (typeof value !== "object" || value === null) return String(value);
  return Array.isArray(value) ? "an array" : "an object";
}

/** Refuses what is not a string: callers without types, and JSON, can pass anything. */
export function checkString(field: string, value: unknown): asserts value is string {
  if (typeof value !== "string")
    throw invalid(field, `must be a string, got ${value === null ? "null" : typeof value}`);
}

function checkPattern(field: string, value: string, maxBytes: number): string {
  checkString(field, value);
  if (value === "") throw invalid(field, "must not be empty");
  // The pattern admits ASCII only, so characters are bytes.
  if (value.length > maxBytes) throw invalid(field, `is ${value.length} bytes long; at most ${maxBytes} are allowed`);
  if (!namePattern.test(value)) {
    throw invalid(
      field,
      `must begin with a letter and go on with letters, digits, "_", "." or "-", got ${shown(value)}`,
    );
  }
  if (value.includes("..")) throw invalid(field, `must not contain "..", got ${shown(value)}`);
  return value;
}

/** Checks a service type or a self id (wire contract, Registry: limits) and returns it unchanged. */
export const checkName = (field: string, value: string): string => checkPattern(field, value, maxNameBytes);

/**
 * Checks an endpoint path and returns it with a slash at both ends. Empty means `/`.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names `field`
 */
export function checkEndpointPath(field: string, path: string): string {
  checkString(field, path);
  if (path === "") return "/";
  if (Buffer.byteLength(path) > maxPathBytes) {
    throw invalid(field, `is ${Buffer.byteLength(path)} bytes long; at most ${maxPathBytes} are allowed`);
  }
  if (!path.startsWith("/")) throw invalid(field, `must begin with "/", got ${shown(path)}`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused here
  const bad = /[?#%\\\u0000-\u0020\u007f]|[^\u0000-\u007f]/.exec(path);
  if (bad !== null) throw invalid(field, `must not contain ${shown(bad[0])}, got ${shown(path)}`);
  if (path.includes("..")) throw invalid(field, `must not contain "..", got ${shown(path)}`);
  return path.endsWith("/") ? path : `${path}/`;
}

/**
 * Checks the methods of a dependency and returns a frozen copy without doubles.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names `field` and the position
 */
export function checkMethods(field: string, methods: readonly string[]): readonly string[] {
  if (!Array.isArray(methods)) throw invalid(field, "must be an array of strings");
  if (methods.length > maxMethods) {
    throw invalid(field, `has ${methods.length} entries; at most ${maxMethods} are allowed`);
  }
  methods.forEach((method: unknown, index) => {
    checkString(`${field}[${index}]`, method);
    // As long as a path may be; what a path cannot contain would never match.
    if (method.length > maxPathBytes || !/^[!-~]+$/.test(method) || /^\/|[?#]/.test(method)) {
      const form = 'must be "Method", "pkg.Service/Method" or a path without a slash in front, and without "?" and "#"';
      throw invalid(`${field}[${index}]`, `${form}, of at most ${maxPathBytes} bytes; got ${shown(method)}`);
    }
  });
  return Object.freeze([...new Set(methods)]);
}

/** Checks metadata and returns a frozen copy. */
export function checkMetadata(
  field: string,
  metadata: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  if (typeof metadata !== "object" || metadata === null || Array.isArray(metadata)) {
    throw invalid(field, "must be an object of strings");
  }
  const entries = Object.entries(metadata);
  if (entries.length > maxMetadataEntries) {
    throw invalid(field, `has ${entries.length} entries; at most ${maxMetadataEntries} are allowed`);
  }
  for (const [key, value] of entries) {
    checkPattern(`${field} key`, key, maxMetadataKeyBytes);
    checkString(`${field}.${key}`, value);
    const bytes = Buffer.byteLength(value);
    if (bytes > maxMetadataValueBytes) {
      throw invalid(`${field}.${key}`, `is ${bytes} bytes long; at most ${maxMetadataValueBytes} are allowed`);
    }
  }
  return Object.freeze({ ...metadata });
}

/**
 * Checks a number among options and returns it. `Infinity` is allowed where `max` is `Infinity`.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names `field`
 */
export function checkNumber(field: string, value: number, min: number, max = Number.POSITIVE_INFINITY): number {
  if (typeof value !== "number" || Number.isNaN(value) || value < min || value > max) {
    throw invalid(field, `must be a number from ${min} to ${max}, got ${String(value)}`);
  }
  return value;
}
