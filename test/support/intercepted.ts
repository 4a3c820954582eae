import { create, type DescMethod, type Message, type MessageInitShape } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import {
  Code,
  ConnectError,
  createContextValues,
  type Interceptor,
  type StreamRequest,
  type StreamResponse,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import {
  Echo,
  SayRequestSchema,
  type SayResponse,
  SayResponseSchema,
  ServerStreamRequestSchema,
  ServerStreamResponseSchema,
} from "./gen/echo/v1/echo_pb.js";

/** How a call is made. */
export interface CallSetup {
  /** What the description says of the method. @default "idempotent" */
  readonly idempotency?: "idempotent" | "no-side-effects" | "unknown";
  readonly header?: Record<string, string>;
  readonly signal?: AbortSignal;
  readonly text?: string;
}

const levels = {
  idempotent: MethodOptions_IdempotencyLevel.IDEMPOTENT,
  "no-side-effects": MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS,
  unknown: MethodOptions_IdempotencyLevel.IDEMPOTENCY_UNKNOWN,
} as const;

const described = <M extends DescMethod>(method: M, { idempotency = "idempotent" }: CallSetup): M => ({
  ...method,
  idempotency: levels[idempotency],
});

/** One attempt as the next one in line sees it: returns the answer's text, or throws. */
export type Attempt = (request: UnaryRequest, count: number) => string | Promise<string>;

/** Makes one unary call through an interceptor. */
export async function callThrough(
  interceptor: Interceptor,
  attempt: Attempt,
  setup: CallSetup = {},
): Promise<UnaryResponse> {
  let count = 0;
  const next = async (request: UnaryRequest | StreamRequest): Promise<UnaryResponse | StreamResponse> => {
    count += 1;
    const text = await attempt(request as UnaryRequest, count);
    return answerOf(request as UnaryRequest, text);
  };
  return (await interceptor(next)(unaryRequest(setup))) as UnaryResponse;
}

/** The text of an answer. */
export const textOf = ({ message }: UnaryResponse): string => (message as SayResponse).text;

const answerOf = ({ method, service }: UnaryRequest, text: string): UnaryResponse => ({
  stream: false,
  service,
  method,
  header: new Headers(),
  trailer: new Headers(),
  message: create(SayResponseSchema, { text }),
});

export function unaryRequest(setup: CallSetup = {}): UnaryRequest {
  return {
    stream: false,
    service: Echo,
    method: described(Echo.method.say, setup),
    requestMethod: "POST",
    url: "http://host.invalid/echo.v1.Echo/Say",
    signal: setup.signal ?? new AbortController().signal,
    header: new Headers({ "content-type": "application/proto", ...setup.header }),
    contextValues: createContextValues(),
    message: create(SayRequestSchema, { text: setup.text ?? "hi" }),
  };
}

/** One attempt at a stream: yields its messages, or throws. */
export type StreamAttempt = (request: StreamRequest, count: number) => AsyncIterable<string>;

/** Opens one server stream through an interceptor, or one in both directions with `messages`. */
export async function streamThrough(
  interceptor: Interceptor,
  attempt: StreamAttempt,
  setup: CallSetup & { readonly messages?: AsyncIterable<Message> } = {},
): Promise<AsyncIterable<string>> {
  let count = 0;
  const next = async (given: UnaryRequest | StreamRequest): Promise<UnaryResponse | StreamResponse> => {
    const request = given as StreamRequest;
    count += 1;
    const { method, service } = request;
    const message = answers(attempt(request, count));
    return { stream: true, service, method, header: new Headers(), trailer: new Headers(), message };
  };
  const method = described(setup.messages === undefined ? Echo.method.serverStream : Echo.method.bidiStream, setup);
  const request = {
    ...unaryRequest(setup),
    stream: true,
    method,
    message: setup.messages ?? one({ text: setup.text ?? "hi" }),
  } as StreamRequest;
  const response = (await interceptor(next)(request)) as StreamResponse;
  return texts(response.message);
}

async function* one(given: MessageInitShape<typeof ServerStreamRequestSchema>): AsyncGenerator<Message> {
  yield create(ServerStreamRequestSchema, given);
}

async function* answers(given: AsyncIterable<string>): AsyncGenerator<Message> {
  for await (const text of given) yield create(ServerStreamResponseSchema, { text });
}

async function* texts(given: AsyncIterable<Message>): AsyncGenerator<string> {
  for await (const message of given) yield (message as SayResponse).text;
}

/** An error of a provider. */
export const failure = (code: Code = Code.Unavailable, metadata: Record<string, string> = {}): ConnectError =>
  new ConnectError("no", code, metadata);

/** What a promise rejects with. */
export async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  return call.then(
    () => Promise.reject(new Error("it did not fail")),
    (error: unknown) => error as ConnectError,
  );
}

/** Lets everything run that waits for nothing but its turn. */
export const settle = async (): Promise<void> => {
  for (let turns = 0; turns < 5; turns++) await new Promise(setImmediate);
};
