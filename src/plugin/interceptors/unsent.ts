import { type ConnectError, createContextKey, type StreamRequest, type UnaryRequest } from "@connectrpc/connect";

type Request = UnaryRequest | StreamRequest;

// In the values of the call, which interceptors have in common; a field of the error would be seen by its caller.
const unsentKey = createContextKey<WeakSet<object> | undefined>(undefined, {
  description: "failures of this call from before anything was sent",
});

/** Notes that `error`, with which an attempt at the call ends, came from this program before anybody was asked. Returns it. */
export function unsent(request: Request, error: ConnectError): ConnectError {
  const noted = request.contextValues.get(unsentKey) ?? new WeakSet();
  noted.add(error);
  request.contextValues.set(unsentKey, noted);
  return error;
}

/** Whether an attempt at the call ended like that. */
export const isUnsent = (request: Request, error: ConnectError): boolean =>
  request.contextValues.get(unsentKey)?.has(error) === true;

/**
 * Whether a server has refused the request for its size, with a status and no error of an RPC: it did so before it looked at the call
 * (RFC 9110, 15.5.14 and 15.5.15; RFC 6585, 5).
 */
export const isTooLarge = ({ rawMessage }: ConnectError): boolean => /^HTTP (413|414|431)$/.test(rawMessage);
