import type { DescMethodUnary, Message } from "@bufbuild/protobuf";
import { Code, ConnectError, type UnaryResponse } from "@connectrpc/connect";
import { getAbortSignalReason } from "@connectrpc/connect/protocol";
import type { FieldList } from "../http/exchange.js";
import { fieldValue, noFields, toHeaders } from "../http/field-list.js";
import { providerField } from "../model/provider-choice.js";
import { lateError } from "./asked-provider.js";
import { answerHeaders, appendFields, errorOfEnd, errorOfReset } from "./call-error.js";
import { type ResetCode, resetCode } from "./frame.js";
import type { LinkEnd, LinkStream, LinkStreamHandler } from "./link-stream.js";
import { readMessage } from "./message-codec.js";
import { plainCopy } from "./message-inbox.js";

/** Who waits for the answer to a unary call. */
export interface UnaryCaller {
  resolve(response: UnaryResponse): void;
  reject(error: ConnectError): void;
  /** The call was certainly not looked at. */
  refused(message: string): void;
}

/** One unary call of ours on a link. Costs little more than the message. */
export class ClientUnary implements LinkStreamHandler {
  readonly #method: DescMethodUnary;
  readonly #signal: AbortSignal | undefined;
  readonly #caller: UnaryCaller;
  #stream: LinkStream | undefined;
  #fields: FieldList = noFields;
  #message: Message | undefined;
  #problem: ConnectError | undefined;
  /** Who was asked, if the host has said so before there is an answer. */
  provider: string | undefined;

  constructor(method: DescMethodUnary, signal: AbortSignal | undefined, caller: UnaryCaller) {
    this.#method = method;
    this.#signal = signal;
    this.#caller = caller;
  }

  /** The call was opened. */
  opened(stream: LinkStream): void {
    this.#stream = stream;
    this.#signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  onHead(fields: FieldList, informational: boolean): void {
    if (informational) this.provider = fieldValue(fields, providerField) ?? this.provider;
    else this.#fields = fields;
  }

  onData(bytes: Uint8Array): void {
    if (this.#message !== undefined) {
      this.#problem ??= new ConnectError("the answer has more than one message", Code.Unimplemented);
    } else {
      try {
        this.#message = readMessage(this.#method.output, plainCopy(bytes), false);
      } catch (error) {
        this.#problem ??= ConnectError.from(error);
      }
    }
    this.#stream?.consume();
  }

  onEnd(end: LinkEnd): void {
    this.#signal?.removeEventListener("abort", this.#onAbort);
    if (end.code !== 0) {
      const metadata = answerHeaders(this.#fields, "application/json");
      appendFields(metadata, end.trailers);
      return this.#caller.reject(errorOfEnd(end, metadata));
    }
    if (this.#problem !== undefined) return this.#caller.reject(this.#problem);
    if (this.#message === undefined) {
      return this.#caller.reject(new ConnectError("the answer has no message", Code.Unimplemented));
    }
    this.#caller.resolve(new LinkResponse(this.#method, this.#message, this.#fields, end.trailers));
  }

  onReset(code: ResetCode, message: string): void {
    this.#signal?.removeEventListener("abort", this.#onAbort);
    if (code === resetCode.refused) this.#caller.refused(message);
    else this.#caller.reject(errorOfReset(code, message));
  }

  readonly #onAbort = (): void => {
    const error = abortError(this.#signal);
    this.#stream?.reset(error.code === Code.DeadlineExceeded ? resetCode.deadline : resetCode.cancelled);
    this.#caller.reject(lateError(error, this.provider));
  };
}

/** What a caller is told whose signal was aborted. */
export const abortError = (signal: AbortSignal | undefined): ConnectError =>
  ConnectError.from(signal && getAbortSignalReason(signal), Code.Canceled);

/** An answer whose fields are made when somebody looks at them. */
class LinkResponse implements UnaryResponse {
  readonly stream = false;
  readonly method: DescMethodUnary;
  readonly message: Message;
  readonly #headerFields: FieldList;
  readonly #trailerFields: FieldList;
  #header: Headers | undefined;
  #trailer: Headers | undefined;

  constructor(method: DescMethodUnary, message: Message, header: FieldList, trailer: FieldList) {
    this.method = method;
    this.message = message;
    this.#headerFields = header;
    this.#trailerFields = trailer;
  }

  get service(): DescMethodUnary["parent"] {
    return this.method.parent;
  }

  get header(): Headers {
    this.#header ??= answerHeaders(this.#headerFields, "application/proto");
    return this.#header;
  }

  get trailer(): Headers {
    this.#trailer ??= toHeaders(this.#trailerFields);
    return this.#trailer;
  }
}
