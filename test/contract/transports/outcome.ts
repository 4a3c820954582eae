import { Code, ConnectError } from "@connectrpc/connect";

/** The error that a call fails with. Fails itself if the call does not. */
export async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  const answer = await call.then(
    (value) => ({ value }),
    (error: unknown) => error,
  );
  if (answer instanceof ConnectError) return answer;
  throw new Error(`the call should have failed with a ConnectError, but gave ${String(answer)}`, { cause: answer });
}

/** The name of the code that a call fails with. */
export const codeOf = async (call: Promise<unknown>): Promise<string> => Code[(await failureOf(call)).code];

/** Reads a stream to its end. What came before an error is on `received`. */
export async function readAll<T>(messages: AsyncIterable<T>, received: T[] = []): Promise<T[]> {
  for await (const message of messages) received.push(message);
  return received;
}

/** Resolves with the signal's reason when it is aborted. */
export const whenAborted = (signal: AbortSignal): Promise<unknown> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    else signal.addEventListener("abort", () => resolve(signal.reason), { once: true });
  });
