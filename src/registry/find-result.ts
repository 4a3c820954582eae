import { type ErrorCode, PluginHostError } from "../errors.js";
import type { Provider } from "./provider.js";

/** Why no provider was found, tested in this order. */
export type FindFailureCode = ErrorCode &
  ("INVALID_ARGUMENT" | "NO_PROVIDER" | "NO_COMPATIBLE_VERSION" | "NO_HEALTHY_PROVIDER");

/** No provider was found. `INVALID_ARGUMENT`: the question was not usable. */
export interface FindFailure {
  readonly kind: "none";
  readonly code: FindFailureCode;
  /** For people: says which of the reasons it was, and for `NO_HEALTHY_PROVIDER` the states of those that exist. */
  readonly message: string;
  /** What was not usable, for `INVALID_ARGUMENT`. */
  readonly field?: string | undefined;
}

/** What a look-up gives. */
export type FindResult = { readonly kind: "found"; readonly provider: Provider } | FindFailure;

/** A failure as a value; nothing is thrown. */
export const notFound = (code: FindFailureCode, message: string): FindFailure => ({ kind: "none", code, message });

/** What a check of the question threw, as a value. */
export const notUsable = (error: unknown): FindFailure => ({
  kind: "none",
  code: "INVALID_ARGUMENT",
  message: error instanceof Error ? error.message : String(error),
  field: error instanceof PluginHostError ? error.field : undefined,
});
