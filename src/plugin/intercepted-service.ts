import { create, type DescMethod, type DescService, type Message } from "@bufbuild/protobuf";
import type {
  HandlerContext,
  Interceptor,
  StreamRequest,
  StreamResponse,
  UnaryRequest,
  UnaryResponse,
} from "@connectrpc/connect";
import type { ResolvedService } from "./resolve-definition.js";

type Request = UnaryRequest | StreamRequest;
type Response = UnaryResponse | StreamResponse;
type Implementation = (input: unknown, context: HandlerContext) => unknown;

/**
 * The implementations of what a plugin provides, with interceptors around each method of those that have a description. Here rather than
 * in the servers, so that it is the same for calls over HTTP, over a link and within the process.
 */
export function interceptedServices(
  provides: readonly ResolvedService[],
  given: Readonly<Record<string, unknown>>,
  interceptors: readonly Interceptor[],
): Readonly<Record<string, unknown>> {
  if (interceptors.length === 0) return given;
  const wrapped = { ...given };
  for (const { type, kind } of provides) {
    if (kind.name !== "connect") continue;
    wrapped[type] = interceptedService(kind.service, given[type] as Readonly<Record<string, unknown>>, interceptors);
  }
  return wrapped;
}

function interceptedService(
  service: DescService,
  given: Readonly<Record<string, unknown>>,
  interceptors: readonly Interceptor[],
): Readonly<Record<string, unknown>> {
  const methods = service.methods.flatMap((method): [string, Implementation][] => {
    const implementation = given[method.localName];
    if (typeof implementation !== "function") return [];
    return [[method.localName, interceptedMethod(method, implementation.bind(given), interceptors)]];
  });
  return Object.fromEntries(methods);
}

function interceptedMethod(
  method: DescMethod,
  implementation: Implementation,
  interceptors: readonly Interceptor[],
): Implementation {
  const run = async (input: unknown, context: HandlerContext): Promise<Response> => {
    const serve = (request: Request): Promise<Response> => answer(method, implementation, request, context);
    const chain = interceptors.reduceRight((next, interceptor) => interceptor(next as never) as typeof next, serve);
    const response = await chain(requestOf(method, input, context));
    copyMissing(response.header, context.responseHeader);
    copyMissing(response.trailer, context.responseTrailer);
    return response;
  };
  switch (method.methodKind) {
    case "unary":
      return async (message, context) => (await run(message, context)).message;
    case "client_streaming":
      return async (messages, context) => onlyOne((await run(messages, context)).message as AsyncIterable<Message>);
    case "server_streaming":
      return async function* (message, context) {
        yield* (await run(asStream(message), context)).message as AsyncIterable<Message>;
      };
    case "bidi_streaming":
      return async function* (messages, context) {
        yield* (await run(messages, context)).message as AsyncIterable<Message>;
      };
  }
}

const requestOf = (method: DescMethod, message: unknown, context: HandlerContext): Request =>
  ({
    stream: method.methodKind !== "unary",
    service: method.parent,
    method,
    requestMethod: context.requestMethod,
    url: context.url,
    signal: context.signal,
    header: context.requestHeader,
    contextValues: context.values,
    message,
  }) as Request;

async function answer(
  method: DescMethod,
  implementation: Implementation,
  request: Request,
  given: HandlerContext,
): Promise<Response> {
  const context = contextOf(given, request);
  const { message } = request;
  const head = { service: method.parent, method, header: given.responseHeader, trailer: given.responseTrailer };
  switch (method.methodKind) {
    case "unary": {
      const answered = create(method.output, (await implementation(message, context)) as Record<string, unknown>);
      return { ...head, stream: false, message: answered } as UnaryResponse;
    }
    case "client_streaming":
      return { ...head, stream: true, message: asStream(implementation(message, context)) } as StreamResponse;
    case "server_streaming": {
      const answers = implementation(await onlyOne(message as AsyncIterable<Message>), context);
      return { ...head, stream: true, message: answers } as StreamResponse;
    }
    case "bidi_streaming":
      return { ...head, stream: true, message: implementation(message, context) } as StreamResponse;
  }
}

/** The same context, with what an interceptor has put in the place of what it was given. */
function contextOf(given: HandlerContext, { header, signal, contextValues }: Request): HandlerContext {
  const isSame = header === given.requestHeader && signal === given.signal && contextValues === given.values;
  if (isSame) return given;
  return Object.create(given, {
    requestHeader: { value: header, enumerable: true },
    signal: { value: signal, enumerable: true },
    values: { value: contextValues, enumerable: true },
  }) as HandlerContext;
}

async function* asStream(message: unknown): AsyncGenerator<unknown> {
  yield await message;
}

async function onlyOne(messages: AsyncIterable<Message>): Promise<Message> {
  for await (const message of messages) return message;
  throw new Error("an interceptor took the only message of the stream");
}

function copyMissing(from: Headers, to: Headers): void {
  if (from === to) return;
  from.forEach((value, name) => {
    to.set(name, value);
  });
}
