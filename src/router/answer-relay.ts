import type { FieldList, ServerExchange } from "../http/exchange.js";
import { fieldValue } from "../http/field-list.js";
import { providerField } from "../model/provider-choice.js";
import type { CallAccount } from "./call-account.js";
import { EnvelopeTracker } from "./envelope-tracker.js";
import { answersInEnvelopes } from "./protocol.js";
import { breakAnswer, type CallFailure } from "./protocol-error.js";
import { viaEntry } from "./request-headers.js";
import { responseFields, responseTrailers } from "./response-headers.js";
import type { UpstreamCall } from "./upstream.js";

/** Carries a provider's answer to the caller at the speed of the slower one, and takes note of how it ended. */
export class AnswerRelay {
  /** Bytes of the body that were handed to the caller. */
  bytes = 0;
  readonly #exchange: ServerExchange;
  readonly #account: CallAccount;
  /** The provider's side; needed from the first byte of a body on. */
  readonly #call: () => Pick<UpstreamCall, "pause" | "resume"> | undefined;
  #status = 0;
  #fields: FieldList = [];
  #isHeadOnly = false;
  #isPaused = false;
  #tracker: EnvelopeTracker | undefined;

  constructor(
    exchange: ServerExchange,
    account: CallAccount,
    call: () => Pick<UpstreamCall, "pause" | "resume"> | undefined,
  ) {
    this.#exchange = exchange;
    this.#account = account;
    this.#call = call;
  }

  /** Whether the whole answer was a head, which the caller has got. */
  get isHeadOnly(): boolean {
    return this.#isHeadOnly;
  }

  /**
   * Passes on the head.
   *
   * @throws TypeError if a field cannot be passed on
   */
  begin(status: number, fields: FieldList, isHeadOnly: boolean, viaName: string): void {
    const { httpVersion } = this.#exchange.head;
    const hasLength = fieldValue(fields, "content-length") !== undefined;
    this.#status = status;
    this.#fields = fields;
    this.#isHeadOnly = isHeadOnly;
    const { protocol } = this.#account;
    if (status === 200 && !hasLength && answersInEnvelopes(protocol, fieldValue(fields, "content-type") ?? "")) {
      this.#tracker = new EnvelopeTracker();
    }
    if (isHeadOnly) this.#account.completed(status, fields, [], undefined);
    this.#account.status = status;
    // node:http refuses to announce trailers where none can follow.
    const trailersPossible = !hasLength && !isHeadOnly && httpVersion !== "1.0";
    const passed = responseFields(fields, viaEntry(httpVersion, viaName), trailersPossible);
    const { toldProvider } = this.#account;
    if (toldProvider !== undefined) passed.push(providerField, toldProvider);
    this.#exchange.respond(status, passed, isHeadOnly);
  }

  data(chunk: Buffer): void {
    this.bytes += chunk.length;
    this.#tracker?.push(chunk);
    if (this.#exchange.write(chunk) || this.#isPaused) return;
    this.#isPaused = true;
    this.#call()?.pause();
    this.#exchange.response.once("drain", this.#onDrain);
  }

  /** The answer has come to its end: takes note of the result. `end` tells the caller. */
  complete(trailers: FieldList): void {
    if (!this.#isHeadOnly) this.#account.completed(this.#status, this.#fields, trailers, this.#tracker);
  }

  end(trailers: FieldList): void {
    if (!this.#isHeadOnly) this.#exchange.end(responseTrailers(trailers, this.#fields));
  }

  /** Ends an answer that broke off, so that nobody takes it for complete. */
  break(failure: CallFailure): void {
    breakAnswer(this.#exchange, this.#account.protocol, this.#tracker, failure);
  }

  readonly #onDrain = (): void => {
    this.#isPaused = false;
    this.#call()?.resume();
  };
}
