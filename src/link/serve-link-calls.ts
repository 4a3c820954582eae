import type { DescMethod } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import type { ConnectionInfo, ExchangeHandler } from "../http/exchange.js";
import type { InProcessMethod, InProcessServices } from "../model/in-process-services.js";
import { type CallKind, callKind, resetCode } from "./frame.js";
import { okEnd } from "./head-codec.js";
import { HttpExchange } from "./http-exchange.js";
import { LateHandler } from "./late-handler.js";
import type { LinkStream, LinkStreamHandler } from "./link-stream.js";
import { ServedStream } from "./served-stream.js";
import { ServedUnary } from "./served-unary.js";

/** What answers the calls of the other side. */
export interface LinkCallsOptions {
  /** Methods by path. Undefined for a path: the call waits for `ready`, and is not found if that changes nothing. */
  readonly services: InProcessServices;
  /** Settles when `services` is complete; undefined once it is. */
  readonly ready: () => Promise<unknown> | undefined;
  /** Whether a path is served, but only to HTTP: such calls are refused, so that their caller sends them that way. */
  readonly isHttpOnly: (path: string) => boolean;
  /** Answers HTTP exchanges. What it throws is answered with 500. */
  readonly exchange: ExchangeHandler;
  readonly onError: (error: unknown) => void;
}

const kinds: Readonly<Record<DescMethod["methodKind"], CallKind>> = {
  unary: callKind.unary,
  client_streaming: callKind.clientStream,
  server_streaming: callKind.serverStream,
  bidi_streaming: callKind.bidi,
};

// Callers are on the other side of the host; of them there is only what the host says in the fields.
const connection: ConnectionInfo = Object.freeze({
  transport: "tcp",
  remoteAddress: "",
  encrypted: false,
  principal: undefined,
});

const nobody: LinkStreamHandler = Object.freeze({ onData() {}, onEnd() {}, onReset() {} });

/** Makes what a link's session calls for each call of the other side. */
export function serveLinkCalls(options: LinkCallsOptions): (stream: LinkStream) => LinkStreamHandler {
  const { services, ready } = options;
  return (stream) => {
    const { kind, path } = stream.head;
    if (kind === callKind.http) return serveExchange(stream, options);
    const queryAt = path.indexOf("?");
    const name = queryAt === -1 ? path : path.slice(0, queryAt);
    const target = services.find(name);
    if (target !== undefined) return serve(stream, target);
    const waiting = ready();
    if (waiting === undefined) return refuse(stream, name, options);
    const late = new LateHandler(stream);
    const begin = (): void => {
      const found = services.find(name);
      if (!stream.closed) late.begin(found === undefined ? refuse(stream, name, options) : serve(stream, found));
    };
    waiting.then(begin, begin);
    return late;
  };
}

function serve(stream: LinkStream, target: InProcessMethod): LinkStreamHandler {
  const { method } = target;
  if (stream.head.kind !== kinds[method.methodKind]) {
    const message = `${method.parent.typeName}.${method.name} is a ${method.methodKind.replace("_", " ")} method`;
    stream.end({ ...okEnd, code: Code.Unimplemented, message });
    return nobody;
  }
  return method.methodKind === "unary" ? new ServedUnary(stream, target) : new ServedStream(stream, target);
}

function refuse(stream: LinkStream, path: string, { isHttpOnly }: LinkCallsOptions): LinkStreamHandler {
  if (isHttpOnly(path)) stream.reset(resetCode.refused, "this service is there for HTTP only");
  else stream.end({ ...okEnd, code: Code.Unimplemented, message: "no such procedure" });
  return nobody;
}

function serveExchange(stream: LinkStream, { exchange: serveIt, onError }: LinkCallsOptions): LinkStreamHandler {
  const exchange = new HttpExchange(stream, connection);
  const failed = (error: unknown): void => {
    onError(error);
    if (exchange.responded) exchange.abort();
    else exchange.reply(500, ["content-type", "text/plain"], "internal error");
  };
  // Its first bytes come right after this.
  const run = async (): Promise<void> => serveIt(exchange);
  void run().catch(failed);
  return exchange.handler;
}
