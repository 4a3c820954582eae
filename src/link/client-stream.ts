import type { DescMethodStreaming, Message } from "@bufbuild/protobuf";
import { Code, ConnectError, type StreamResponse } from "@connectrpc/connect";
import type { FieldList } from "../http/exchange.js";
import { fieldValue } from "../http/field-list.js";
import { type Deferred, deferred } from "../internal/deferred.js";
import { providerField } from "../model/provider-choice.js";
import { lateError } from "./asked-provider.js";
import { answerHeaders, appendFields, errorOfEnd, errorOfReset } from "./call-error.js";
import { abortError } from "./client-unary.js";
import { type ResetCode, resetCode } from "./frame.js";
import type { LinkEnd, LinkStream, LinkStreamHandler } from "./link-stream.js";
import { readMessage, writeMessage } from "./message-codec.js";
import { MessageInbox } from "./message-inbox.js";
import { ReplayableInput } from "./replayable-input.js";

/** Who waits for the answer to a call with streams. */
export interface StreamCaller {
  /** Told of errors of the call before the caller is. */
  onError(error: ConnectError): void;
  /** The call was certainly not looked at: takes what it sends, from the beginning, and answers it. */
  refused(input: AsyncIterable<Message>): Promise<StreamResponse>;
}

/** One call of ours on a link with a stream in at least one direction. */
export class ClientStream implements LinkStreamHandler {
  readonly #method: DescMethodStreaming;
  readonly #signal: AbortSignal;
  readonly #response: Deferred<StreamResponse> = deferred();
  readonly #messages: MessageInbox<Message>;
  readonly #trailer = new Headers();
  readonly #input: ReplayableInput<Message>;
  readonly #caller: StreamCaller;
  #stream!: LinkStream;
  #header: Headers | undefined;
  #room: Deferred<void> | undefined;
  #isOver = false;
  /** Who was asked, if the host has said so before there is an answer. */
  #provider: string | undefined;

  constructor(method: DescMethodStreaming, signal: AbortSignal, input: AsyncIterable<Message>, caller: StreamCaller) {
    this.#method = method;
    this.#signal = signal;
    this.#input = new ReplayableInput(input);
    this.#caller = caller;
    const decode = (bytes: Uint8Array): Message => readMessage(method.output, bytes, false);
    this.#messages = new MessageInbox(
      () => this.#stream,
      decode,
      () => this.#giveUp(resetCode.cancelled),
    );
  }

  /** Resolves when the other side has said something; what went wrong comes with the messages then. */
  get response(): Promise<StreamResponse> {
    return this.#response.promise;
  }

  /** The call was opened: sends what there is to send. */
  opened(stream: LinkStream): void {
    this.#stream = stream;
    this.#signal.addEventListener("abort", this.#onAbort, { once: true });
    void this.#pump();
  }

  onHead(fields: FieldList, informational: boolean): void {
    if (informational) this.#provider = fieldValue(fields, providerField) ?? this.#provider;
    else this.#respond(fields);
  }

  onData(bytes: Uint8Array): void {
    this.#respond([]);
    this.#messages.push(bytes);
  }

  onEnd(end: LinkEnd): void {
    this.#over();
    this.#respond([]);
    appendFields(this.#trailer, end.trailers);
    if (end.code === 0) return this.#messages.end();
    const metadata = new Headers(this.#trailer);
    this.#header?.forEach((value, name) => {
      metadata.append(name, value);
    });
    this.#fail(errorOfEnd(end, metadata));
  }

  onReset(code: ResetCode, message: string): void {
    const untouched = code === resetCode.refused && this.#header === undefined;
    const again = untouched ? this.#input.replay() : undefined;
    this.#over();
    if (again !== undefined)
      return void this.#caller.refused(again).then(this.#response.resolve, this.#response.reject);
    const error = errorOfReset(code, message);
    if (this.#header === undefined) this.#response.reject(error);
    this.#messages.cut(error);
  }

  onDrain(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }

  #fail(error: ConnectError): void {
    this.#caller.onError(error);
    this.#messages.fail(error);
  }

  readonly #onAbort = (): void => {
    if (this.#isOver) return;
    const reason = abortError(this.#signal);
    const error = this.#header === undefined ? lateError(reason, this.#provider) : reason;
    this.#giveUp(error.code === Code.DeadlineExceeded ? resetCode.deadline : resetCode.cancelled);
    if (this.#header === undefined) this.#response.reject(error);
    this.#messages.cut(error);
  };

  #giveUp(code: ResetCode): void {
    if (this.#isOver) return;
    this.#over();
    this.#stream.reset(code);
  }

  #over(): void {
    this.#isOver = true;
    this.#signal.removeEventListener("abort", this.#onAbort);
    this.onDrain();
  }

  #respond(fields: FieldList): void {
    if (this.#header !== undefined) return;
    const method = this.#method;
    this.#input.forget();
    this.#header = answerHeaders(fields, "application/connect+proto");
    this.#response.resolve({
      stream: true,
      service: method.parent,
      method,
      header: this.#header,
      trailer: this.#trailer,
      message: this.#messages,
    });
  }

  async #pump(): Promise<void> {
    const input = this.#input;
    try {
      for (;;) {
        const next = await input.next();
        if (this.#isOver) return this.#leave(next);
        if (next.done === true) break;
        const bytes = this.#written(next.value);
        input.took(next.value, bytes.length);
        if (this.#stream.send(bytes)) continue;
        this.#room = deferred();
        await this.#room.promise;
        if (this.#isOver) return this.#leave(next);
      }
    } catch (error) {
      if (this.#isOver) return;
      const told = ConnectError.from(error);
      this.#giveUp(resetCode.cancelled);
      if (this.#header === undefined) this.#response.reject(told);
      this.#messages.cut(told);
      return;
    }
    this.#stream.end();
  }

  #written(message: Message): Uint8Array {
    try {
      return writeMessage(this.#method.input, message, false);
    } catch (error) {
      this.#input.close();
      throw error;
    }
  }

  /** The call is over before its input is. */
  #leave({ done }: IteratorResult<Message>): void {
    if (done !== true && !this.#input.isReplayed) this.#input.close();
  }
}
