import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import type { Clock } from "../plugin/index.js";
import { until } from "./expectation.js";

type Answer = (request: unknown, context: HandlerContext) => unknown;

/** The same call as a `StubCall`, while it goes on. */
interface OpenCall {
  readonly method: string;
  readonly request: unknown;
  readonly requests: unknown[];
  readonly callerId: string;
  readonly header: Headers;
  state: "open" | "answered" | "failed" | "cancelled";
}

/** One method of a stub: what it answers, what it keeps waiting, and the calls that it got. */
export class StubMethod {
  readonly calls: OpenCall[] = [];
  readonly #method: DescMethod;
  readonly #order: unknown[];
  readonly #clock: Clock | undefined;
  readonly #waitMs: number;
  readonly #listeners = new Set<() => void>();
  #answer: Answer | undefined;
  #delayMs = 0;
  /** While set, calls wait for it. */
  #gate: { readonly opened: Promise<void>; readonly open: () => void } | undefined;

  constructor(method: DescMethod, order: unknown[], options: { readonly clock?: Clock; readonly waitMs?: number }) {
    this.#method = method;
    this.#order = order;
    this.#clock = options.clock;
    this.#waitMs = options.waitMs ?? 4_000;
  }

  answer(answer: unknown): void {
    if (typeof answer === "function") this.#answer = answer as Answer;
    else this.#answer = () => answer;
  }

  hold(): { release(): void } {
    this.#gate?.open();
    let open: () => void = () => {};
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    const gate = { opened, open };
    this.#gate = gate;
    return {
      release: () => {
        if (this.#gate === gate) this.#gate = undefined;
        open();
      },
    };
  }

  delay(delayMs: number): void {
    this.#delayMs = delayMs;
  }

  reset(): void {
    this.calls.length = 0;
    this.#answer = undefined;
    this.#delayMs = 0;
    this.#gate?.open();
    this.#gate = undefined;
  }

  async untilCalled(count: number): Promise<OpenCall> {
    await until(
      () => this.calls.length >= count,
      this.#waitMs,
      () => `${this.#method.localName} was called ${this.calls.length} times, not ${count}`,
      (check) => {
        this.#listeners.add(check);
        return () => this.#listeners.delete(check);
      },
    );
    return this.calls[count - 1] as OpenCall;
  }

  /** Answers one call, in the shape of its kind. */
  serve(request: unknown, context: HandlerContext): unknown {
    const { methodKind } = this.#method;
    const streamsIn = methodKind === "client_streaming" || methodKind === "bidi_streaming";
    const call = this.#begin(streamsIn ? [] : [request], context);
    const given = streamsIn ? noted(request as AsyncIterable<unknown>, call.requests) : request;
    if (methodKind === "unary" || methodKind === "client_streaming") return this.#serveOne(call, given, context);
    return this.#serveMany(call, given, context);
  }

  #begin(requests: unknown[], { requestHeader, signal }: HandlerContext): OpenCall {
    const call: OpenCall = {
      method: this.#method.localName,
      requests,
      get request() {
        return requests[0];
      },
      callerId: requestHeader.get("x-plugin-caller-id") ?? "",
      header: requestHeader,
      state: "open",
    };
    signal.addEventListener("abort", () => {
      if (call.state === "open") call.state = "cancelled";
    });
    this.calls.push(call);
    this.#order.push(call);
    for (const tell of this.#listeners) tell();
    return call;
  }

  async #serveOne(call: OpenCall, request: unknown, context: HandlerContext): Promise<unknown> {
    try {
      await this.#untilDue(context.signal);
      const answer = await this.#run(request, context);
      end(call, "answered");
      return answer;
    } catch (error) {
      end(call, "failed");
      throw error;
    }
  }

  async *#serveMany(call: OpenCall, request: unknown, context: HandlerContext): AsyncGenerator<unknown> {
    try {
      await this.#untilDue(context.signal);
      yield* this.#run(request, context) as AsyncIterable<unknown>;
      end(call, "answered");
    } catch (error) {
      end(call, "failed");
      throw error;
    } finally {
      end(call, "cancelled");
    }
  }

  #run(request: unknown, context: HandlerContext): unknown {
    if (this.#answer !== undefined) return this.#answer(request, context);
    const { parent, localName } = this.#method;
    throw new ConnectError(
      `the stub of ${parent.typeName} has no answer for ${localName}; give it one`,
      Code.Unimplemented,
    );
  }

  /** The delay and the hold are over, or nobody waits for the answer any more. */
  async #untilDue(signal: AbortSignal): Promise<void> {
    if (this.#delayMs > 0) await this.#wait(this.#delayMs, signal);
    while (this.#gate !== undefined && !signal.aborted) await Promise.race([this.#gate.opened, aborted(signal)]);
    if (signal.aborted) throw new ConnectError("nobody waits for the answer any more", Code.Canceled);
  }

  #wait(delayMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#after(delayMs, resolve);
      signal.addEventListener("abort", () => {
        cancel();
        resolve();
      });
    });
  }

  #after(delayMs: number, fire: () => void): () => void {
    if (this.#clock !== undefined) {
      const timer = this.#clock.after(delayMs, fire, true);
      return () => timer.cancel();
    }
    const timer = setTimeout(fire, delayMs);
    return () => clearTimeout(timer);
  }
}

function end(call: OpenCall, state: OpenCall["state"]): void {
  if (call.state === "open") call.state = state;
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));

async function* noted(messages: AsyncIterable<unknown>, into: unknown[]): AsyncGenerator<unknown> {
  for await (const message of messages) {
    into.push(message);
    yield message;
  }
}
