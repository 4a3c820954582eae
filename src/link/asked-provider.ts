import { Code, ConnectError } from "@connectrpc/connect";
import { notSentField } from "../model/not-sent.js";
import { providerField } from "../model/provider-choice.js";

/**
 * Fields of an answer with what only the host may say: who was asked, undefined for a caller that does not want to know. What a provider
 * has said there itself is gone. Changes what it is given.
 */
export function withProvider(fields: Headers, provider: string | undefined): Headers {
  fields.delete(notSentField);
  if (provider === undefined) fields.delete(providerField);
  else fields.set(providerField, provider);
  return fields;
}

/** An error of the caller's own time limit, with who was asked. The same error for a caller that does not want to know. */
export function lateError(error: ConnectError, provider: string | undefined): ConnectError {
  if (provider === undefined) return error;
  // Whoever has aborted the call has the error, too.
  const metadata = new Headers(error.metadata);
  metadata.set(providerField, provider);
  return new ConnectError(error.rawMessage, error.code, metadata, undefined, error.cause);
}

/** What was thrown by a call over a connection, with who was asked if it has run out of time before anybody could say so. */
export function namedIfLate(thrown: unknown, provider: string | undefined): unknown {
  if (provider === undefined) return thrown;
  const error = ConnectError.from(thrown);
  const isNameless = error.code === Code.DeadlineExceeded && !error.metadata.has(providerField);
  return isNameless ? lateError(error, provider) : thrown;
}
