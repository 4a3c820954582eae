import type { DescMethodStreaming, Message } from "@bufbuild/protobuf";
import { Code, ConnectError, createHandlerContext, type HandlerContext } from "@connectrpc/connect";
import { transformInvokeImplementation } from "@connectrpc/connect/protocol";
import { fromHeaders } from "../http/field-list.js";
import { type Deferred, deferred } from "../internal/deferred.js";
import type { InProcessMethod } from "../model/in-process-services.js";
import { type ResetCode, resetCode } from "./frame.js";
import { callerGoneError, deadlineError, toldError } from "./in-process-error.js";
import type { LinkStream, LinkStreamHandler } from "./link-stream.js";
import { readMessage, tooLargeToRead, writeMessage } from "./message-codec.js";
import { MessageInbox } from "./message-inbox.js";
import { endWith, failureEnd, refusalError, requestHeaders, speaksJson } from "./served-call.js";

type Context = HandlerContext & { abort(reason?: unknown): void };

/** One call of the other side with a stream in at least one direction. */
export class ServedStream implements LinkStreamHandler {
  readonly #stream: LinkStream;
  readonly #target: InProcessMethod;
  readonly #json: boolean;
  readonly #input: MessageInbox<Message>;
  /** Aborted when the caller is gone. */
  readonly #gone = new AbortController();
  readonly #context: Context;
  #room: Deferred<void> | undefined;
  #over = false;

  /** Undefined without a limit of the plugin's own. */
  readonly maxMessageBytes: number | undefined;

  constructor(stream: LinkStream, target: InProcessMethod) {
    const { deadlineMs, fields, path } = stream.head;
    const { method, owner, messages } = target;
    this.#stream = stream;
    this.#target = target;
    this.maxMessageBytes = messages?.readMaxBytes;
    this.#json = speaksJson(fields);
    const contentType = this.#json ? "application/connect+json" : "application/connect+proto";
    this.#input = new MessageInbox(
      () => stream,
      (bytes) => readMessage(method.input, bytes, this.#json, messages),
    );
    this.#context = createHandlerContext({
      service: method.parent,
      method,
      requestMethod: "POST",
      protocolName: "connect",
      url: `http://host.invalid${path}`,
      ...(deadlineMs === 0 ? undefined : { timeoutMs: deadlineMs }),
      requestSignal: this.#gone.signal,
      requestHeader: requestHeaders(stream.head, contentType),
      responseHeader: { "content-type": contentType },
    }) as Context;
    owner.enter(this);
    void this.#run();
  }

  onData(bytes: Uint8Array): void {
    this.#input.push(bytes);
  }

  /** The implementation reads what came before, then the error. */
  onTooLarge(): void {
    this.#input.fail(tooLargeToRead(this.maxMessageBytes as number));
  }

  onEnd(): void {
    this.#input.end();
  }

  onReset(code: ResetCode): void {
    this.#stop(code === resetCode.deadline ? deadlineError() : callerGoneError());
  }

  onDrain(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }

  /** The plugin stops, and this call has taken too long. */
  abort(reason: Error): void {
    this.#stream.reset(resetCode.unavailable, reason.message);
    this.#stop(new ConnectError(reason.message, Code.Unavailable));
  }

  async #run(): Promise<void> {
    const { method, messages } = this.#target;
    const { output } = method;
    // Never in the loop that decodes frames.
    await undefined;
    if (this.#over) return;
    let answers: AsyncIterator<Message> | undefined;
    let hasAnswered = false;
    try {
      answers = this.#invoke()[Symbol.asyncIterator]();
      for (let next = await answers.next(); next.done !== true; next = await answers.next()) {
        if (this.#over) return leave(answers);
        if (!hasAnswered) this.#sendHead();
        hasAnswered = true;
        if (this.#stream.send(writeMessage(output, next.value, this.#json, messages))) continue;
        this.#room = deferred();
        await this.#room.promise;
        if (this.#over) return leave(answers);
      }
      if (this.#over) return;
      if (!hasAnswered) this.#sendHead();
      this.#stream.end(endWith(this.#context.responseTrailer));
      this.#finish(undefined);
    } catch (error) {
      if (this.#over) return;
      if (answers !== undefined) leave(answers);
      const told = toldError(error);
      if (!hasAnswered) this.#sendHead();
      const trailer = this.#context.responseTrailer;
      told.metadata.forEach((value, name) => {
        trailer.append(name, value);
      });
      this.#stream.end(failureEnd(told, trailer));
      this.#finish(error);
    }
  }

  #invoke(): AsyncIterable<Message> {
    const { method, implementation, owner } = this.#target;
    const refusal = owner.refusal();
    if (refusal !== undefined) throw refusalError(refusal);
    const spec = { kind: (method as DescMethodStreaming).methodKind, method, impl: implementation };
    const invoke = transformInvokeImplementation(spec as never, this.#context, []);
    return invoke(this.#input as never) as AsyncIterable<Message>;
  }

  #sendHead(): void {
    const fields = fromHeaders(this.#context.responseHeader);
    // What everybody assumes need not be said.
    const isPlain = !this.#json && fields.length === 2;
    if (!isPlain) this.#stream.sendHead(fields);
  }

  /** The caller is gone. */
  #stop(reason: ConnectError): void {
    if (this.#over) return;
    this.#input.cut(new ConnectError("the request ended before it was complete", Code.Canceled));
    this.#finish(reason);
    this.onDrain();
  }

  #finish(reason: unknown): void {
    this.#over = true;
    this.#gone.abort(reason);
    this.#context.abort(reason);
    this.#target.owner.leave(this);
  }
}

/** Lets the implementation clean up after a caller who is gone. What it says to that is for nobody. */
function leave(answers: AsyncIterator<Message>): void {
  (answers.throw?.(callerGoneError()) ?? answers.return?.())?.catch(() => {});
}
