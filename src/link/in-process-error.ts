import { Code, ConnectError } from "@connectrpc/connect";
import { codeFromString, errorFromJson, errorToJson } from "@connectrpc/connect/protocol-connect";
import { notSentField } from "../model/not-sent.js";
import { providerField } from "../model/provider-choice.js";
import { withProvider } from "./asked-provider.js";
import type { InProcessFailure } from "./in-process-route.js";

/** What an implementation has thrown, as far as callers are told. */
export function toldError(thrown: unknown): ConnectError {
  if (!(thrown instanceof ConnectError)) {
    return new ConnectError("internal error", Code.Internal, undefined, undefined, thrown);
  }
  if (Code[thrown.code] !== undefined) return thrown;
  // What a wire makes of a code that is none.
  const told = new ConnectError(thrown.rawMessage, Code.Unknown, thrown.metadata, undefined, thrown);
  told.details = thrown.details;
  return told;
}

/** A provider's error as its caller sees it: with nothing in common, and with the fields of the answer as metadata. */
export function errorForCaller(told: ConnectError, metadata: Headers): ConnectError {
  const fallback = new ConnectError("internal error", Code.Internal);
  try {
    return errorFromJson(errorToJson(told, undefined), metadata, fallback);
  } catch {
    // A detail that cannot be written, which a wire refuses, too.
    return fallback;
  }
}

/** The metadata of the error of a unary call, whose own fields take the place of the answer's. */
export function unaryErrorMetadata(
  told: ConnectError,
  header: Headers | undefined,
  trailer: Headers | undefined,
  provider: string | undefined,
): Headers {
  const metadata = new Headers(header);
  metadata.set("content-type", "application/json");
  told.metadata.forEach((value, name) => {
    metadata.set(name, value);
  });
  append(metadata, trailer);
  return withProvider(metadata, provider);
}

/** The metadata of the error of a stream, whose own fields stand beside the answer's. */
export function streamErrorMetadata(
  told: ConnectError,
  header: Headers,
  trailer: Headers,
  provider: string | undefined,
): Headers {
  const metadata = new Headers(trailer);
  append(metadata, told.metadata);
  append(metadata, header);
  return withProvider(metadata, provider);
}

function append(to: Headers, from: Headers | undefined): void {
  from?.forEach((value, name) => {
    to.append(name, value);
  });
}

/** A failure of the host as its caller sees it. */
export function failureError(failure: InProcessFailure): ConnectError {
  const { code, reason, retryAfterMs, notSentFor, toldProvider, errorCode } = failure;
  const metadata = new Headers();
  if (toldProvider !== undefined) metadata.set(providerField, toldProvider);
  if (notSentFor !== undefined) metadata.set(notSentField, notSentFor);
  if (errorCode !== undefined) metadata.set("error-code", errorCode);
  if (retryAfterMs !== undefined) metadata.set("retry-after", String(Math.max(1, Math.ceil(retryAfterMs / 1_000))));
  return new ConnectError(reason, codeFromString(code) ?? Code.Unknown, metadata);
}

/** What a provider's signal says when its caller has given up. */
export const callerGoneError = (): ConnectError => new ConnectError("the caller went away", Code.Canceled);

/** What both sides are told when the caller's time is over. `provider`: see `withProvider`. */
export const deadlineError = (provider?: string): ConnectError =>
  new ConnectError(
    "the operation timed out",
    Code.DeadlineExceeded,
    provider === undefined ? undefined : { [providerField]: provider },
  );
