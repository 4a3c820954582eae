import { Code, ConnectError } from "@connectrpc/connect";
import { getAbortSignalReason } from "@connectrpc/connect/protocol";
import { InFlight, type InFlightEntry } from "../internal/in-flight.js";
import type {
  InProcessCredential,
  InProcessFailure,
  InProcessHost,
  InProcessRoute,
  OpenCalls,
} from "./in-process-route.js";

// As of a client for connections that was closed.
const closed = "this client is closed";
const closedFailure: InProcessFailure = { code: "unavailable", reason: closed, retryAfterMs: undefined };

/** What a call is told whose caller has ended. Each has an error of its own, because callers may add to it. */
export const callerEndedError = ({ message }: Error): ConnectError => new ConnectError(message, Code.Canceled);

/** The way of one plugin to others without a connection, until the plugin has stopped. */
export class InProcessCalls implements InProcessHost {
  readonly #host: InProcessHost;
  readonly #open = new InFlight();
  #isClosed = false;

  constructor(host: InProcessHost) {
    this.#host = host;
  }

  route(credential: InProcessCredential, serviceType: string): InProcessRoute {
    const route = this.#host.route(credential, serviceType);
    return {
      open: (request) => {
        if (this.#isClosed) return { kind: "refused", failure: closedFailure };
        const opened = route.open(request);
        if (opened.kind !== "refused") request.belongsTo(this.#open);
        return opened;
      },
    };
  }

  /** Ends the calls that are open, and refuses those that come later. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#open.abortAll(new Error(closed));
  }
}

/** A signal that is aborted with another one, and when the caller has ended. */
export class CallerSignal implements InFlightEntry {
  readonly #given: AbortSignal;
  readonly #calls: OpenCalls;
  readonly #controller = new AbortController();

  constructor(given: AbortSignal, calls: OpenCalls) {
    this.#given = given;
    this.#calls = calls;
    calls.enter(this);
    if (given.aborted) this.#onGiven();
    else given.addEventListener("abort", this.#onGiven, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason: Error): void {
    this.done();
    this.#controller.abort(callerEndedError(reason));
  }

  /** The call is over: the signal will not be aborted any more. */
  done(): void {
    this.#calls.leave(this);
    this.#given.removeEventListener("abort", this.#onGiven);
  }

  readonly #onGiven = (): void => {
    this.done();
    this.#controller.abort(getAbortSignalReason(this.#given));
  };
}
