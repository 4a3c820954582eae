import { ScalarType } from "@bufbuild/protobuf";

/** A value that is not exactly what its field holds: the bytes of the message have to say what becomes of it. */
export class Unfit extends Error {}

/** ES2024, which Node 20 has. */
interface Text {
  isWellFormed(): boolean;
  toWellFormed(): string;
}

/** A text as it comes out of UTF-8: half a surrogate pair becomes U+FFFD. */
const wellFormed = (text: string): string =>
  (text as unknown as Text).isWellFormed() ? text : (text as unknown as Text).toWellFormed();

const isWellFormed = (text: string): boolean => (text as unknown as Text).isWellFormed();

const minInt32 = -(2 ** 31);
const maxInt32 = 2 ** 31 - 1;
const maxUint32 = 2 ** 32 - 1;
const minInt64 = -(2n ** 63n);
const maxInt64 = 2n ** 63n - 1n;
const maxUint64 = 2n ** 64n - 1n;

function whole(value: unknown, least: number, most: number): number {
  // Adding 0 turns -0 into 0, as a wire does.
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return (value as number) + 0;
  throw new Unfit();
}

function long(value: unknown, asString: boolean, least: bigint, most: bigint): unknown {
  if (asString) {
    if (typeof value !== "string" || !/^(?:0|-?[1-9]\d{0,19})$/.test(value)) throw new Unfit();
    const number = BigInt(value);
    if (number >= least && number <= most) return value;
  } else if (typeof value === "bigint" && value >= least && value <= most) return value;
  // Anything else that a wire takes becomes what the field's type says there.
  throw new Unfit();
}

/** A value of a scalar or enum field. Only bytes can be shared, so only they are new. */
export function copyScalar(type: ScalarType, longAsString: boolean, value: unknown): unknown {
  switch (type) {
    case ScalarType.STRING:
      if (typeof value !== "string") throw new Unfit();
      return wellFormed(value);
    case ScalarType.BOOL:
      if (typeof value !== "boolean") throw new Unfit();
      return value;
    case ScalarType.BYTES:
      if (!(value instanceof Uint8Array)) throw new Unfit();
      return new Uint8Array(value);
    case ScalarType.DOUBLE:
      if (typeof value !== "number") throw new Unfit();
      return value;
    case ScalarType.FLOAT: {
      if (typeof value !== "number") throw new Unfit();
      const rounded = Math.fround(value);
      if (Number.isFinite(value) && !Number.isFinite(rounded)) throw new Unfit();
      return rounded;
    }
    case ScalarType.INT32:
    case ScalarType.SINT32:
    case ScalarType.SFIXED32:
      return whole(value, minInt32, maxInt32);
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return whole(value, 0, maxUint32);
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return long(value, longAsString, minInt64, maxInt64);
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return long(value, longAsString, 0n, maxUint64);
  }
}

/** Whether a property's name is a key of this type in its usual form. */
export function isMapKey(type: ScalarType, key: string): boolean {
  switch (type) {
    case ScalarType.STRING:
      // A name with a meaning of its own in assignments.
      return key !== "__proto__" && isWellFormed(key);
    case ScalarType.BOOL:
      return key === "true" || key === "false";
    case ScalarType.INT32:
    case ScalarType.SINT32:
    case ScalarType.SFIXED32:
      return isWhole(key, minInt32, maxInt32);
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return isWhole(key, 0, maxUint32);
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return isWhole(key, 0, Number.MAX_SAFE_INTEGER);
    default:
      return isWhole(key, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  }
}

function isWhole(key: string, least: number, most: number): boolean {
  const value = Number(key);
  return Number.isInteger(value) && String(value) === key && value >= least && value <= most;
}

/** A value of JSON, as fields of `google.protobuf.Struct` hold it. */
export function copyJson(value: unknown): unknown {
  switch (typeof value) {
    case "string":
      if (!isWellFormed(value)) throw new Unfit();
      return value;
    case "boolean":
      return value;
    case "number":
      if (!Number.isFinite(value)) throw new Unfit();
      return value;
    case "object": {
      if (value === null) return null;
      if (Array.isArray(value)) return value.map(copyJson);
      const copy: Record<string, unknown> = {};
      for (const [name, inner] of Object.entries(value)) {
        if (!isMapKey(ScalarType.STRING, name)) throw new Unfit();
        copy[name] = copyJson(inner);
      }
      return copy;
    }
    default:
      throw new Unfit();
  }
}
