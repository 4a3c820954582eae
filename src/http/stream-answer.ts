import type { Message } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { createEndStreamSerialization } from "@connectrpc/connect/protocol-connect";
import { AnswerWriter } from "./answer-writer.js";
import { type CallGuard, mapError, runBefore } from "./call-guard.js";
import type { DirectCall } from "./direct-call.js";
import { DirectContext } from "./direct-context.js";
import type { ServerExchange } from "./exchange.js";
import { fromHeaders } from "./field-list.js";
import type { StreamCodec } from "./stream-codec.js";

/** An implementation, bound to its object. May yield what is not a message yet. */
export type StreamFunction = (request: Message, context: DirectContext) => AsyncIterable<unknown>;

/** What makes the answers of one method. */
export interface StreamParts {
  readonly run: StreamFunction;
  readonly guards: readonly CallGuard[];
  readonly codec: StreamCodec;
  readonly endSerialization: ReturnType<typeof createEndStreamSerialization>;
}

/** The next message with its bytes, or the end: with an error if there was one. */
type Step = { readonly bytes: Buffer } | { readonly error: unknown };

/** The answer to one call: what the implementation yields, at the caller's pace, and how it ended. */
export class StreamAnswer {
  readonly #exchange: ServerExchange;
  readonly #call: DirectCall;
  readonly #parts: StreamParts;
  #messages: AsyncIterator<unknown> | undefined;

  constructor(exchange: ServerExchange, call: DirectCall, parts: StreamParts) {
    this.#exchange = exchange;
    this.#call = call;
    this.#parts = parts;
  }

  /** Rejects if the answer could not be completed. */
  async serve(request: Message): Promise<true> {
    const exchange = this.#exchange;
    // The implementation can set fields of the head until it yields.
    let step = this.#start(request) ?? (await this.#next());
    // With the first message or without one: head and body leave together.
    let bytes = "bytes" in step ? step.bytes : await this.#end(step.error);
    const call = this.#call;
    exchange.respond(200, call.hasUsualHeaders ? call.usualFields : fromHeaders(call.responseHeader));
    const writer = new AnswerWriter(exchange);
    for (;;) {
      const room = writer.write(bytes);
      if (room !== undefined) await room;
      if (exchange.ended !== undefined) {
        if ("bytes" in step) this.#leave();
        return true;
      }
      if ("error" in step) break;
      step = await this.#next();
      bytes = "bytes" in step ? step.bytes : await this.#end(step.error);
    }
    exchange.end();
    return true;
  }

  /** Calls the implementation. The end if that fails. */
  #start(request: Message): { readonly error: unknown } | undefined {
    const { run, guards } = this.#parts;
    const passed = runBefore(guards);
    try {
      if ("refusal" in passed) throw passed.refusal;
      this.#messages = run(request, new DirectContext(this.#call))[Symbol.asyncIterator]();
      return undefined;
    } catch (error) {
      return { error: mapError(guards, error, passed.entered) };
    }
  }

  async #next(): Promise<Step> {
    const { guards, codec } = this.#parts;
    const messages = this.#messages as AsyncIterator<unknown>;
    let message: Message;
    try {
      const next = await messages.next();
      if (next.done === true) return { error: undefined };
      message = codec.normalize(next.value);
    } catch (error) {
      return { error: mapError(guards, error) };
    }
    try {
      const bytes = codec.write(message);
      return { bytes: Buffer.isBuffer(bytes) ? bytes : await bytes };
    } catch (error) {
      // The implementation knows nothing of it.
      this.#call.abort();
      await messages.return?.().catch(() => {});
      return { error };
    }
  }

  /** The envelope that tells how the stream ended. */
  async #end(error: unknown): Promise<Buffer> {
    const call = this.#call;
    call.abort(error);
    const { codec, endSerialization } = this.#parts;
    const metadata = call.responseTrailer;
    if (error === undefined) return codec.writeEnd(endSerialization.serialize({ metadata }));
    const told =
      error instanceof ConnectError
        ? error
        : new ConnectError("internal error", Code.Internal, undefined, undefined, error);
    return codec.writeEnd(endSerialization.serialize({ metadata, error: told }));
  }

  /** Lets the implementation clean up after a caller who is gone. What it says to that is for nobody. */
  #leave(): void {
    const gone = new ConnectError("the caller went away", Code.Canceled);
    this.#call.abort(gone);
    const messages = this.#messages;
    (messages?.throw?.(gone) ?? messages?.return?.())?.catch(() => {});
  }
}
