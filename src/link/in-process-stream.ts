import type { DescMethodStreaming, Message } from "@bufbuild/protobuf";
import { Code, ConnectError, type StreamResponse } from "@connectrpc/connect";
import { getAbortSignalReason } from "@connectrpc/connect/protocol";
import { namedIfLate } from "./asked-provider.js";
import { errorOfReset } from "./call-error.js";
import { callFields } from "./client-fields.js";
import { ClientStream } from "./client-stream.js";
import { resetCode } from "./frame.js";
import type { MessageCopier } from "./in-process-copy.js";
import { failureError } from "./in-process-error.js";
import type {
  DecidedCall,
  InProcessFailure,
  InProcessRoute,
  LinkedInProcessCall,
  WaitingInProcessCall,
} from "./in-process-route.js";
import { ticketField } from "./in-process-route.js";
import { StreamRun } from "./in-process-stream-run.js";

/** What a call with a stream is made of. */
export interface StreamParts {
  readonly method: DescMethodStreaming;
  readonly url: string;
  /** Undefined if the call has to go over a connection. */
  readonly route: InProcessRoute | undefined;
  readonly copier: MessageCopier;
  /** What is left of the caller's time, in milliseconds. */
  readonly timeoutMs: number | undefined;
  /** The caller's fields. */
  readonly header: Headers;
  /** Aborted when the caller gives up, when its time is over, and when all is done. */
  readonly signal: AbortSignal;
  readonly input: AsyncIterable<Message>;
}

/**
 * Begins a call with a stream. Resolves when the provider has said something, or has ended: whether that is an error comes
 * with the messages, as over a connection.
 *
 * @param viaConnection makes the call over a connection with these fields
 */
export async function openStream(
  parts: StreamParts,
  viaConnection: (header: Headers) => Promise<StreamResponse>,
): Promise<StreamResponse> {
  const { route, header, signal } = parts;
  if (route === undefined) return viaConnection(header);
  signal.throwIfAborted();
  const run = new StreamRun(parts);
  const opened = route.open(run);
  const decided = opened.kind === "waiting" ? await whileWaiting(opened, run.signal) : opened;
  switch (decided.kind) {
    case "admitted":
      return run.start(decided);
    case "refused":
      return refused(parts.method, decided.failure);
    case "linked":
      return overLink(decided, { ...parts, signal: run.signal });
    case "detour": {
      const { ticket, provider, release } = decided;
      const sent = new Headers(header);
      sent.set(ticketField, ticket);
      try {
        return await viaConnection(sent);
      } catch (thrown) {
        throw namedIfLate(thrown, provider);
      } finally {
        release();
      }
    }
  }
}

function overLink(call: LinkedInProcessCall, { method, signal, header, input }: StreamParts): Promise<StreamResponse> {
  if (signal.aborted) call.release();
  signal.throwIfAborted();
  const refused = (): Promise<StreamResponse> => Promise.reject(errorOfReset(resetCode.refused, ""));
  const caller = new ClientStream(method, signal, input, { onError() {}, refused });
  call.start(callFields(header), caller);
  return caller.response;
}

/** Rejects if the caller does not wait any longer. */
function whileWaiting(call: WaitingInProcessCall, signal: AbortSignal): Promise<DecidedCall> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => {
      const error = ConnectError.from(getAbortSignalReason(signal), Code.Canceled);
      call.leave(error.code === Code.DeadlineExceeded ? "expired" : "caller-gone");
      reject(error);
    };
    signal.addEventListener("abort", giveUp, { once: true });
    void call.decided.then((decided) => {
      signal.removeEventListener("abort", giveUp);
      resolve(decided);
    });
  });
}

function refused(method: DescMethodStreaming, failure: InProcessFailure): StreamResponse {
  const error = failureError(failure);
  // biome-ignore lint/correctness/useYield: the error takes the place of all messages
  async function* none(): AsyncGenerator<Message> {
    throw error;
  }
  return {
    stream: true,
    service: method.parent,
    method,
    header: new Headers(error.metadata),
    trailer: new Headers(),
    message: none(),
  };
}
