import type { DescService, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { type Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { type Clock, PluginHostError } from "../plugin/index.js";
import { StubMethod } from "./stub-method.js";

/** Names of a service's methods, as its typed client has them. */
export type MethodName<S extends DescService> = keyof S["method"] & string;

type Input<S extends DescService, M extends MethodName<S>> = MessageShape<S["method"][M]["input"]>;
type Output<S extends DescService, M extends MethodName<S>> = MessageInitShape<S["method"][M]["output"]>;

/** What a stub answers: a function as in an implementation of the service, or what it would return. */
export type StubAnswer<S extends DescService, M extends MethodName<S>> =
  | ServiceImpl<S>[M]
  | (S["method"][M]["methodKind"] extends "unary" | "client_streaming" ? Output<S, M> : readonly Output<S, M>[]);

/** What a stub answers, by the names of the methods. Those left out fail with `unimplemented`. */
export type StubAnswers<S extends DescService> = { readonly [M in MethodName<S>]?: StubAnswer<S, M> };

/** One call that a stub got. */
export interface StubCall<Request = unknown> {
  readonly method: string;
  /** The request; of a stream of requests the first one, undefined until it has come. */
  readonly request: Request;
  /** All requests of the call so far: one, or those of a stream. */
  readonly requests: readonly Request[];
  /** Runtime id of the caller, as the host told; empty if it told none. */
  readonly callerId: string;
  /** The request's header. */
  readonly header: Headers;
  /** Where the call is. `cancelled`: the caller did not wait for the end. */
  readonly state: "open" | "answered" | "failed" | "cancelled";
}

/** Calls that are kept waiting. */
export interface Hold {
  /** Lets the calls go on, those that wait and those that come. Idempotent. */
  release(): void;
}

/** Options of {@link stub}. */
export interface StubOptions {
  /** Semantic version of the service. @default what its user requires at least, else "1.0.0" */
  readonly version?: string;
  /** Where the time of `delay` comes from. @default the system's clock */
  readonly clock?: Clock;
  /** How long `untilCalled` waits at most, in real time, in milliseconds. @default 4_000 */
  readonly waitMs?: number;
}

/** A stand-in for a service: answers as it is told, and remembers its calls. */
export interface Stub<S extends DescService = DescService> {
  readonly service: S;
  readonly version: string | undefined;
  /** The calls of one method so far, in their order. */
  calls<M extends MethodName<S>>(method: M): readonly StubCall<Input<S, M>>[];
  /** All calls so far, in their order. */
  allCalls(): readonly StubCall[];
  /** Resolves with call number `count` of the method, counted from 1, as soon as it has come. */
  untilCalled<M extends MethodName<S>>(method: M, count?: number): Promise<StubCall<Input<S, M>>>;
  /** From now on the method answers so. */
  answer<M extends MethodName<S>>(method: M, answer: StubAnswer<S, M>): void;
  /** From now on calls of the method fail, with this error or with a code and a message. */
  fail(method: MethodName<S>, error: ConnectError | Code, message?: string): void;
  /** From now on calls of the method wait before they are answered, until they are released. */
  hold(method: MethodName<S>): Hold;
  /** From now on calls of the method take so long, by the stub's clock. 0 for no delay. */
  delay(method: MethodName<S>, delayMs: number): void;
  /** Forgets all calls, lets those on hold go on, and answers again as in the beginning. */
  reset(): void;
  /** What a plugin's `setup` returns for the service. */
  readonly implementation: ServiceImpl<S>;
}

/**
 * Makes a stand-in for a service, for `fakePlugin`, `testPlugin`, or the `setup` of a plugin of your own.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` if `answers` names a method that the service does not have
 */
export function stub<S extends DescService>(
  service: S,
  answers: StubAnswers<S> = {},
  options: StubOptions = {},
): Stub<S> {
  const order: StubCall[] = [];
  const methods = new Map(
    service.methods.map((method) => [method.localName, new StubMethod(method, order, options)] as const),
  );
  const methodOf = (name: string): StubMethod => {
    const found = methods.get(name);
    if (found !== undefined) return found;
    const message = `${name} is no method of ${service.typeName}; there is ${[...methods.keys()].join(", ")}`;
    throw new PluginHostError("INVALID_ARGUMENT", message, { field: name });
  };
  const answerAsGiven = (): void => {
    for (const method of methods.values()) method.reset();
    for (const [name, answer] of Object.entries(answers)) methodOf(name).answer(answer);
  };
  answerAsGiven();
  return {
    service,
    version: options.version,
    calls: (name) => methodOf(name).calls as never,
    allCalls: () => order,
    untilCalled: (name, count = 1) => methodOf(name).untilCalled(count) as never,
    answer: (name, answer) => methodOf(name).answer(answer),
    fail(name, error, message) {
      const thrown = error instanceof ConnectError ? error : new ConnectError(message ?? "the stub fails", error);
      methodOf(name).answer(() => {
        throw thrown;
      });
    },
    hold: (name) => methodOf(name).hold(),
    delay: (name, delayMs) => methodOf(name).delay(delayMs),
    reset() {
      order.length = 0;
      answerAsGiven();
    },
    implementation: Object.fromEntries(
      [...methods].map(([name, method]) => [
        name,
        (request: unknown, context: HandlerContext) => method.serve(request, context),
      ]),
    ) as unknown as ServiceImpl<S>,
  };
}
