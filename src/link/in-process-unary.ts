import { create, type DescMethodUnary, type Message, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport, type UnaryResponse } from "@connectrpc/connect";
import { getAbortSignalReason } from "@connectrpc/connect/protocol";
import { codeToHttpStatus, codeToString, requestHeader } from "@connectrpc/connect/protocol-connect";
import type { FieldList } from "../http/exchange.js";
import { fromHeaders, toHeaders } from "../http/field-list.js";
import { longestDelayMs } from "../internal/clock.js";
import type { InFlightEntry } from "../internal/in-flight.js";
import { avoidField } from "../model/provider-choice.js";
import { lateError, namedIfLate } from "./asked-provider.js";
import { errorOfReset } from "./call-error.js";
import { callFields } from "./client-fields.js";
import { ClientUnary } from "./client-unary.js";
import { resetCode } from "./frame.js";
import { callerEndedError } from "./in-process-calls.js";
import { type ContextSource, lazyContext } from "./in-process-context.js";
import type { MessageCopier } from "./in-process-copy.js";
import {
  callerGoneError,
  deadlineError,
  errorForCaller,
  failureError,
  toldError,
  unaryErrorMetadata,
} from "./in-process-error.js";
import { handOver } from "./in-process-hand-over.js";
import { contentType, InProcessResponse } from "./in-process-response.js";
import {
  type AdmittedCall,
  type DecidedCall,
  type InProcessFailure,
  type InProcessRequest,
  type LinkedInProcessCall,
  type OpenCalls,
  ticketField,
  type WaitingInProcessCall,
} from "./in-process-route.js";
import { writeMessage } from "./message-codec.js";

/** What all calls of a unary method have in common. */
export interface UnaryShape {
  readonly method: DescMethodUnary;
  readonly url: string;
  readonly copier: MessageCopier;
}

/** What a call can leave that no implementation in this process runs for. */
type Leavable = Pick<WaitingInProcessCall, "leave">;

type DetouredCall = Extract<DecidedCall, { kind: "detour" }>;

const isAdmitted = (call: AdmittedCall | Leavable | undefined): call is AdmittedCall =>
  call !== undefined && "target" in call;

/** One unary call that goes straight to an implementation. Costs little more than what is asked of it. */
export class UnaryRun implements InProcessRequest, InFlightEntry, ContextSource {
  readonly method: DescMethodUnary;
  readonly timeoutMs: number | undefined;
  readonly deadlineAt: number | undefined;
  /** Settles with the answer. */
  readonly answer: Promise<UnaryResponse>;
  readonly #shape: UnaryShape;
  readonly #message: Message;
  readonly #signal: AbortSignal | undefined;
  readonly #given: Headers | undefined;
  #resolve!: (response: UnaryResponse) => void;
  #reject!: (error: ConnectError) => void;
  #isOver = false;
  #call: AdmittedCall | Leavable | undefined;
  /** Set if the call goes over a link. */
  #linked: ClientUnary | undefined;
  #openCalls: OpenCalls | undefined;
  #timer: NodeJS.Timeout | undefined;
  #onAbort: (() => void) | undefined;
  #abort: AbortController | undefined;
  #aborted: { readonly reason: unknown } | undefined;
  #requestHeader: Headers | undefined;
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;

  /**
   * @param message the caller's own; nobody else has it
   * @param timeoutMs in milliseconds
   * @param given the fields that the caller wants to send
   */
  constructor(
    shape: UnaryShape,
    message: Message,
    timeoutMs: number | undefined,
    signal: AbortSignal | undefined,
    given: Headers | undefined,
  ) {
    this.#shape = shape;
    this.#message = message;
    this.#signal = signal;
    this.#given = given;
    this.method = shape.method;
    this.timeoutMs = timeoutMs;
    this.deadlineAt = timeoutMs === undefined ? undefined : Date.now() + timeoutMs;
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    if (timeoutMs !== undefined)
      this.#timer = setTimeout(() => this.#onDeadline(), Math.min(timeoutMs, longestDelayMs));
    if (signal !== undefined) {
      this.#onAbort = () => this.#onCanceled();
      signal.addEventListener("abort", this.#onAbort, { once: true });
    }
  }

  /** Whether the caller has its answer, or has given up. */
  get isOver(): boolean {
    return this.#isOver;
  }

  headerFields(): FieldList {
    // Made now, because hardly anybody looks at them.
    return fromHeaders(requestHeader(this.method.methodKind, true, this.timeoutMs, this.#given, true));
  }

  avoided(): string | undefined {
    return this.#given?.get(avoidField) ?? undefined;
  }

  messageBytes(): number {
    return toBinary(this.method.input, this.#message).length;
  }

  belongsTo(calls: OpenCalls): void {
    this.#openCalls = calls;
    calls.enter(this);
  }

  /** The call waits for a provider to have room. */
  wait(call: WaitingInProcessCall): void {
    this.#call = call;
  }

  /** Makes the call over a connection instead. The host knows it by the ticket. */
  async overConnection(connection: Transport, { ticket, provider }: DetouredCall): Promise<UnaryResponse> {
    this.#finish(undefined);
    const header = new Headers(this.#given);
    header.set(ticketField, ticket);
    const leftMs = this.deadlineAt === undefined ? undefined : Math.max(1, this.deadlineAt - Date.now());
    try {
      return await connection.unary(this.method, this.#signal, leftMs, header, this.#message as never);
    } catch (thrown) {
      throw namedIfLate(thrown, provider);
    }
  }

  /** Makes the call over its provider's link instead. */
  overLink(call: LinkedInProcessCall): Promise<UnaryResponse> {
    this.#linked = new ClientUnary(this.method, undefined, {
      resolve: (response) => {
        if (this.#isOver) return;
        this.#finish(undefined);
        this.#resolve(response);
      },
      reject: (error) => this.#giveUp(error, error),
      refused: (message) => this.#giveUp(errorOfReset(resetCode.refused, message), undefined),
    });
    try {
      const stream = call.start(
        callFields(this.#given),
        this.#linked,
        writeMessage(this.method.input, this.#message, false),
      );
      this.#call = { leave: (why) => stream.reset(why === "expired" ? resetCode.deadline : resetCode.cancelled) };
    } catch (error) {
      call.release();
      this.#giveUp(ConnectError.from(error), undefined);
    }
    return this.answer;
  }

  ended(failure: InProcessFailure): void {
    this.#giveUp(failureError(failure), callerGoneError());
  }

  /**
   * Runs the implementation. Never rejects.
   *
   * @param turn resolves when it is this call's turn
   */
  async run(call: AdmittedCall, turn: Promise<void>): Promise<void> {
    this.#call = call;
    const { method, owner, implementation } = call.target;
    const { copier, url } = this.#shape;
    // Never on the caller's stack: calls that lead to calls would nest without limit.
    await turn;
    if (this.#isOver) return;
    let output: Message;
    try {
      const refusal = owner.refusal();
      if (refusal !== undefined) throw new ConnectError(refusal, Code.Unavailable);
      const request =
        method.input === this.method.input
          ? this.#message
          : handOver(copier, this.#message, this.method.input, method.input);
      let result = implementation(request, lazyContext(this, url));
      if (isPromise(result)) result = await result;
      if (this.#isOver) return;
      const created = create(method.output, result as Message);
      output = handOver(copier, created, method.output, this.method.output);
    } catch (error) {
      this.#fail(call, error);
      return;
    }
    const [header, trailer] = [this.#responseHeader, this.#responseTrailer];
    const response = new InProcessResponse(this.method, output, header, trailer, call.provider);
    this.#finish(undefined);
    call.completed("ok", 200);
    this.#resolve(response);
  }

  // The context, for implementations that look at it.

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#aborted !== undefined) this.#abort.abort(this.#aborted.reason);
    }
    return this.#abort.signal;
  }

  get requestHeader(): Headers {
    const call = this.#call;
    this.#requestHeader ??= isAdmitted(call) ? toHeaders(call.requestFields()) : new Headers();
    return this.#requestHeader;
  }

  get responseHeader(): Headers {
    this.#responseHeader ??= new Headers({ "content-type": contentType });
    return this.#responseHeader;
  }

  get responseTrailer(): Headers {
    this.#responseTrailer ??= new Headers();
    return this.#responseTrailer;
  }

  // Ends.

  #fail(call: AdmittedCall, error: unknown): void {
    if (this.#isOver) return;
    const told = toldError(error);
    const metadata = unaryErrorMetadata(told, this.#responseHeader, this.#responseTrailer, call.provider);
    this.#finish(error);
    call.completed(codeToString(told.code), codeToHttpStatus(told.code));
    this.#reject(errorForCaller(told, metadata));
  }

  #onDeadline(): void {
    if (this.#isOver) return;
    const call = this.#call;
    if (isAdmitted(call)) call.expired();
    else call?.leave("expired");
    this.#giveUp(deadlineError(this.#provider), deadlineError());
  }

  #onCanceled(): void {
    const signal = this.#signal;
    this.#end(ConnectError.from(signal && getAbortSignalReason(signal), Code.Canceled));
  }

  abort(reason: Error): void {
    this.#end(callerEndedError(reason));
  }

  #end(error: ConnectError): void {
    if (this.#isOver) return;
    const call = this.#call;
    const isLate = error.code === Code.DeadlineExceeded;
    if (!isAdmitted(call)) call?.leave(isLate ? "expired" : "caller-gone");
    else if (isLate) call.expired();
    else call.callerGone();
    this.#giveUp(isLate ? lateError(error, this.#provider) : error, isLate ? error : callerGoneError());
  }

  /** Who was asked, as far as the caller wants to know and it is known without an answer. */
  get #provider(): string | undefined {
    return isAdmitted(this.#call) ? this.#call.provider : this.#linked?.provider;
  }

  /** @param reason for the provider */
  #giveUp(error: ConnectError, reason: ConnectError | undefined): void {
    if (this.#isOver) return;
    this.#finish(reason);
    this.#reject(error);
  }

  /** Ends the call for whoever listens to its signal, as Connect does in every case. */
  #finish(reason: unknown): void {
    this.#isOver = true;
    this.#openCalls?.leave(this);
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    if (this.#onAbort !== undefined) this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#aborted = { reason };
    this.#abort?.abort(reason);
  }
}

const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
