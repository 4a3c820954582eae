import {
  Code,
  ConnectError,
  type ConnectRouter,
  type ConnectRouterOptions,
  type ContextValues,
  createConnectRouter,
} from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { AnswerWriter } from "./answer-writer.js";
import { BodyCutError, BodyReader } from "./body-reader.js";
import { compressions } from "./compression.js";
import { addRoutes, type DirectMethod } from "./direct-routes.js";
import type { ServerExchange } from "./exchange.js";
import { fromHeaders, toHeaders } from "./field-list.js";

/** Options of {@link connectHandler}: those of Connect's router (limits, interceptors, protocols), and ours. */
export interface ConnectHandlerOptions extends ConnectRouterOptions {
  /** Registers the services. Called once, at once. */
  readonly routes: (router: ConnectRouter) => void;
  /** Values for the implementations and interceptors of one call. */
  readonly contextValues?: (exchange: ServerExchange) => ContextValues | undefined;
  /** What stands in front of every procedure's path, such as `/api`. @default none */
  readonly requestPathPrefix?: string;
  /**
   * Whether ordinary calls of the Connect protocol, unary and server-streaming ones, go past Connect's own handlers. What
   * callers and implementations see is the same both ways.
   * @default true
   */
  readonly direct?: boolean;
}

/** Serves the procedures of a Connect router on exchanges: Connect, gRPC and gRPC-web. */
export interface ConnectHandler {
  /**
   * False if no procedure has this path; the exchange is untouched then. Otherwise a promise for the end of the
   * call: true, or a rejection if the answer could not be completed. The exchange is for the one who called to end then.
   */
  handle(exchange: ServerExchange): Promise<boolean> | false;
  /** The paths of all procedures, with the prefix. */
  readonly paths: ReadonlySet<string>;
  /** How many calls went past Connect's own handlers. */
  readonly directCalls: number;
}

/** @throws whatever `routes` throws */
export function connectHandler(given: ConnectHandlerOptions): ConnectHandler {
  const { routes, contextValues, requestPathPrefix = "", direct: allowDirect = true, ...routerOptions } = given;
  const options = { acceptCompression: [...compressions], ...routerOptions };
  const router = createConnectRouter(options);
  const methods = addRoutes(router, routes, options);
  const procedures = new Map<string, Procedure>();
  for (const handler of router.handlers) {
    const direct = allowDirect ? methods.get(handler) : undefined;
    procedures.set(requestPathPrefix + handler.requestPath, { handler, direct });
  }
  let directCalls = 0;
  return {
    paths: new Set(procedures.keys()),
    get directCalls() {
      return directCalls;
    },
    handle(exchange) {
      const { target } = exchange.head;
      const queryAt = target.indexOf("?");
      const procedure = procedures.get(queryAt === -1 ? target : target.slice(0, queryAt));
      if (procedure === undefined) return false;
      const { handler, direct } = procedure;
      const head = direct?.accept(exchange);
      const values = contextValues?.(exchange);
      if (direct === undefined || head === undefined) return call(handler, exchange, values, bodyOf(exchange));
      directCalls += 1;
      return direct.serve(exchange, head, values, (body) => {
        directCalls -= 1;
        return call(handler, exchange, values, body);
      });
    },
  };
}

interface Procedure {
  readonly handler: UniversalHandler;
  /** Undefined for what only Connect's own handlers do. */
  readonly direct: DirectMethod | undefined;
}

async function call(
  handler: UniversalHandler,
  exchange: ServerExchange,
  contextValues: ContextValues | undefined,
  body: AsyncIterable<Uint8Array> | Iterable<never>,
): Promise<true> {
  const { head } = exchange;
  const gone = new AbortController();
  exchange.onEnd(({ kind }) => {
    if (kind !== "completed") gone.abort(new ConnectError("the caller went away", Code.Canceled));
  });
  const answer = await handler({
    // Connect takes HTTP/1.1 for half-duplex, as it is with many clients and proxies. In memory there are none of those.
    httpVersion: head.connection.transport === "memory" ? "2" : head.httpVersion,
    // Handlers parse it; what the caller calls us must not make that fail.
    url: `http://host.invalid${head.target}`,
    method: head.method,
    header: toHeaders(head.fields),
    body: tellCut(body),
    signal: gone.signal,
    ...(contextValues === undefined ? undefined : { contextValues }),
  });
  await send(exchange, answer, handler);
  return true;
}

const noBody: readonly never[] = Object.freeze([]);

const bodyOf = (exchange: ServerExchange): AsyncIterable<Uint8Array> | Iterable<never> =>
  exchange.bodyless ? noBody : new BodyReader(exchange.body);

async function* tellCut(body: AsyncIterable<Uint8Array> | Iterable<never>): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    if (!(error instanceof BodyCutError)) throw error;
    throw new ConnectError(error.message, Code.Canceled);
  }
}

async function send(exchange: ServerExchange, answer: UniversalServerResponse, handler: UniversalHandler) {
  const fields = fromHeaders(answer.header);
  if (answer.status === 405) fields.push("allow", handler.allowedMethods.join(", "));
  if (answer.body === undefined) {
    if (answer.trailer === undefined) return exchange.respond(answer.status, fields, true);
    exchange.respond(answer.status, fields);
    return exchange.end(fromHeaders(answer.trailer));
  }
  const chunks = answer.body[Symbol.asyncIterator]();
  // The first chunk is there already, or all but: head and chunk can leave together.
  let next = await chunks.next();
  exchange.respond(answer.status, fields);
  const writer = new AnswerWriter(exchange);
  for (; next.done !== true; next = await chunks.next()) {
    const room = writer.write(next.value);
    if (room !== undefined) await room;
    if (exchange.ended !== undefined) return stop(chunks);
  }
  // Trailers are complete only when the body is.
  exchange.end(answer.trailer === undefined ? undefined : fromHeaders(answer.trailer));
}

/** Lets the implementation clean up after a caller who is gone. What it says to that is for nobody. */
function stop(chunks: AsyncIterator<Uint8Array>): void {
  const gone = new ConnectError("the caller went away", Code.Canceled);
  (chunks.throw?.(gone) ?? chunks.return?.())?.catch(() => {});
}
