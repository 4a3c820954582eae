import { Code, ConnectError, type Interceptor, type StreamRequest, type UnaryRequest } from "@connectrpc/connect";
import type { Clock } from "../../internal/clock.js";
import { notSentField } from "../../model/not-sent.js";
import { avoidField } from "../../model/provider-choice.js";
import type { Pass } from "./circuit.js";
import { circuitOpenError } from "./circuit-open-error.js";
import type { Circuits, KeyCircuits } from "./circuits.js";
import { Outgoing } from "./outgoing.js";
import { type CallResult, give, type Visit } from "./provider-circuits.js";
import { goesThroughHost, toldProvider } from "./through-host.js";
import { isTooLarge, isUnsent } from "./unsent.js";
import { watched } from "./watched-stream.js";

type Request = UnaryRequest | StreamRequest;
type Next = Parameters<Interceptor>[0];

/** What a call has to know of its breaker's options. */
export interface GuardedCallOptions {
  readonly openMs: number;
  readonly clock: Clock;
  readonly isFailure: (error: ConnectError) => boolean;
  readonly keyOf: (request: Request) => string;
}

/** How a host refuses a call for which there is nobody but those that its caller avoids. */
const nobodyElse = "PROVIDERS_AVOIDED";

const succeeded: CallResult = { kind: "succeeded" };
const undecided: CallResult = { kind: "undecided" };

/** One call through a circuit breaker. */
export class GuardedCall {
  readonly #circuits: Circuits;
  readonly #options: GuardedCallOptions;
  readonly #request: Request;
  readonly #key: string;
  readonly #at: KeyCircuits;
  readonly #outgoing: Outgoing;
  #pass!: Pass;
  /** Undefined if no host chooses the provider. */
  #visit: Visit | undefined;
  #provider: string | undefined;
  /** When the first message of its stream came; undefined before that. */
  #begunAt: number | undefined;

  constructor(circuits: Circuits, options: GuardedCallOptions, request: Request) {
    this.#circuits = circuits;
    this.#options = options;
    this.#request = request;
    this.#key = options.keyOf(request);
    this.#at = circuits.enter(this.#key);
    this.#outgoing = new Outgoing(request);
  }

  async run(next: Next): ReturnType<Next> {
    const entrance = this.#at.own.enter();
    if (entrance.kind === "refused") {
      this.#leave();
      throw this.#refused(entrance);
    }
    this.#pass = entrance;
    if (goesThroughHost(this.#request)) this.#visit = this.#at.providers.enter(this.#circuits.eras.now);
    try {
      const response = await next(this.#asked());
      this.#hears(response.header);
      if (!response.stream) {
        this.#over(succeeded);
        this.#leave();
        return response;
      }
      const tell = {
        onFirst: () => this.#begin(),
        onEnd: (isLeft: boolean) => this.#over(isLeft && this.#begunAt === undefined ? undecided : succeeded),
        onFailure: (thrown: unknown) => this.#failed(thrown),
        onOver: () => this.#leave(),
      };
      return { ...response, message: watched(response.message, tell) };
    } catch (thrown) {
      this.#hears(ConnectError.from(thrown).metadata);
      const error = this.#failed(thrown);
      this.#leave();
      throw error;
    }
  }

  /** The request, with whom it avoids. */
  #asked(): Request {
    const visit = this.#visit;
    const { stream, message } = this.#request;
    const request = stream ? { ...this.#request, message: this.#outgoing.watched(message) } : this.#request;
    if (visit === undefined) return request;
    const header = new Headers(request.header);
    // Another breaker around this one may have some of its own.
    const given = header.get(avoidField) ?? "";
    header.set(avoidField, [...(given === "" ? [] : [given]), ...visit.avoid].join(","));
    return { ...request, header };
  }

  /** Who was asked stands in the head of an answer. What comes behind that may be the provider's own words. */
  #hears(fields: Headers): void {
    if (this.#visit === undefined) return;
    this.#provider = toldProvider(fields);
    if (this.#provider !== undefined) this.#at.providers.asked(this.#visit, this.#provider);
  }

  /** Returns what the caller is told. */
  #failed(thrown: unknown): unknown {
    const error = ConnectError.from(thrown);
    if (this.#visit !== undefined && this.#isOnlyAvoided(this.#visit, error)) {
      this.#at.own.succeeded(this.#pass);
      const refusal = this.#at.providers.onlyAvoided(this.#visit);
      // Without one they were mended while the call was under way.
      return refusal === undefined ? thrown : this.#refused(refusal);
    }
    const result = this.#resultOf(error);
    // It was well for so long that what failed before has nothing to do with it.
    if (result.kind === "failed" && this.#begunForMs >= this.#options.openMs) this.#over(succeeded);
    this.#over(result);
    return thrown;
  }

  #resultOf(error: ConnectError): CallResult {
    if (isUnsent(this.#request, error) || this.#outgoing.hasThrown) return undecided;
    if (isTooLarge(error)) return this.#provider === undefined ? undecided : succeeded;
    const hasBegun = this.#begunAt !== undefined;
    // Many streams have no other end than their time.
    if (hasBegun && error.code === Code.DeadlineExceeded) return undecided;
    if (this.#options.isFailure(error)) {
      return this.#outgoing.isUnwritable(error) ? undecided : { kind: "failed", reason: error.message };
    }
    if (error.code === Code.Canceled) return hasBegun ? succeeded : undecided;
    // It was the host who has said so.
    if (this.#provider !== undefined && error.metadata.has(notSentField)) return undecided;
    return succeeded;
  }

  get #begunForMs(): number {
    return this.#begunAt === undefined ? 0 : this.#options.clock.monotonic() - this.#begunAt;
  }

  /** Whether the host has refused the call because of those that this breaker avoids. */
  #isOnlyAvoided({ avoid }: Visit, { metadata }: ConnectError): boolean {
    if (avoid.length === 0 || this.#provider !== undefined) return false;
    return metadata.get("error-code") === nobodyElse && metadata.has(notSentField);
  }

  #refused({
    retryAfterMs,
    lastFailure,
  }: {
    readonly retryAfterMs: number;
    readonly lastFailure: string;
  }): ConnectError {
    const what = this.#key === "" ? this.#request.service.typeName : this.#key;
    return circuitOpenError(what, retryAfterMs, lastFailure);
  }

  #begin(): void {
    const { own, providers } = this.#at;
    const visit = this.#visit;
    if (visit === undefined || this.#provider === undefined) {
      this.#pass = own.begun(this.#pass);
      if (visit !== undefined) providers.untold(visit, succeeded);
    } else {
      own.succeeded(this.#pass);
      this.#visit = providers.begun(visit, this.#provider);
    }
    this.#begunAt = this.#options.clock.monotonic();
  }

  #over(result: CallResult): void {
    const { own, providers } = this.#at;
    const visit = this.#visit;
    if (visit === undefined || this.#provider === undefined) {
      give(own, this.#pass, result);
      if (visit !== undefined) providers.untold(visit, result);
      return;
    }
    // There was an answer, whoever has given it; of a stream that was its first message.
    if (this.#begunAt === undefined) own.succeeded(this.#pass);
    providers.told(visit, this.#provider, result);
  }

  #leave(): void {
    this.#circuits.leave(this.#key);
  }
}
