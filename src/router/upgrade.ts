import { Agent, type ClientRequest, type IncomingMessage, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import type { ConnectionInfo, RequestHead } from "../http/exchange.js";
import { fieldValue, toFieldList, toFieldObject } from "../http/field-list.js";
import { deferred } from "../internal/deferred.js";
import type { InFlightEntry } from "../internal/in-flight.js";
import { CallAccount } from "./call-account.js";
import { type Caller, decide, type Forward } from "./decide.js";
import type { ForwardContext } from "./forward-context.js";
import type { BadPath, RouteTarget } from "./path.js";
import { type CallFailure, errorAnswer } from "./protocol-error.js";
import { requestFields } from "./request-headers.js";
import type { TargetAddress } from "./target-address.js";
import { continueTrace } from "./trace-context.js";

/** One request to upgrade. */
export interface UpgradeCall {
  readonly request: IncomingMessage;
  readonly head: RequestHead;
  readonly socket: Duplex;
  /** What came behind the head. */
  readonly early: Buffer;
  readonly caller: Caller;
  readonly target: RouteTarget | BadPath;
}

/** The head of a request to upgrade in the form that the router reads. */
export function upgradeHead(request: IncomingMessage, connection: ConnectionInfo): RequestHead {
  const fields = toFieldList(request.rawHeaders);
  return {
    method: request.method ?? "",
    target: request.url ?? "",
    authority: request.headers.host ?? "",
    httpVersion: "1.1",
    fields,
    header: (name) => fieldValue(fields, name),
    connection,
  };
}

/** Decides on an upgrade as on any call, and joins both connections. Resolves when they are closed. */
export async function forwardUpgrade(context: ForwardContext, call: UpgradeCall): Promise<void> {
  const account = new CallAccount(call.head, call.caller, "http", context.clock);
  if (call.target.kind === "target") account.serviceType = call.target.serviceType;
  const decision = decide(
    { target: call.target, caller: call.caller, contentLength: undefined },
    context.view,
    context.decideOptions,
  );
  try {
    if (decision.kind === "refuse") {
      account.provider = decision.provider?.plugin;
      account.failed(decision, "refused");
      account.status = decision.httpStatus;
      refuseUpgrade(call.socket, decision);
    } else {
      await joinConnections(context, call, decision, account);
    }
  } catch (error) {
    call.socket.destroy();
    account.failed({ code: "internal", httpStatus: 500, reason: String(error), retryAfterMs: undefined }, "aborted");
  } finally {
    context.onCall(account.event());
  }
}

/** Answers on the bare socket and closes it. */
function refuseUpgrade(socket: Duplex, failure: CallFailure): void {
  const { status, fields, body } = errorAnswer("http", undefined, failure);
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Refused"}\r\nconnection: close\r\n`;
  for (let i = 0; i < fields.length; i += 2) head += `${fields[i]}: ${fields[i + 1]}\r\n`;
  socket.end(Buffer.concat([Buffer.from(`${head}\r\n`, "latin1"), body]));
  // Bytes that nobody reads would turn the end into a reset, which can destroy the answer on its way.
  socket.resume();
}

/** The fields towards the provider, with those of the upgrade itself put back. */
function upgradeFields(
  context: ForwardContext,
  call: UpgradeCall,
  decision: Forward,
  account: CallAccount,
  target: TargetAddress,
) {
  const trace = continueTrace(call.head.header("traceparent"), context.traceIds);
  account.traceparent = trace.traceparent;
  const fields = requestFields(
    call.head,
    {
      caller: decision.caller,
      serviceType: decision.serviceType,
      protocol: "http",
      traceparent: trace.traceparent,
      traceContinued: trace.continued,
      elapsedMs: account.elapsedMs(),
      trailersPossible: false,
    },
    context.options,
  );
  return {
    host: target.authority,
    ...toFieldObject(fields),
    connection: "Upgrade",
    upgrade: call.head.header("upgrade") ?? "",
  };
}

async function joinConnections(
  context: ForwardContext,
  call: UpgradeCall,
  decision: Forward,
  account: CallAccount,
): Promise<void> {
  const { provider } = decision;
  const { socket } = call;
  const { runtimeId } = provider.plugin;
  const target = context.connections.poolOf(provider.plugin)?.target;
  if (target === undefined) throw new Error(`${runtimeId} has no address`);
  account.provider = provider.plugin;
  account.method = decision.method;
  // 80 ms of import that most hosts never need.
  const { createProxyServer } = await import("http-proxy-3");
  if (socket.destroyed) {
    account.failed(gone, "caller-gone");
    return;
  }
  const headers = upgradeFields(context, call, decision, account, target);
  const agent = new Agent({ keepAlive: false });
  if (target.connect !== undefined) agent.createConnection = target.connect as never;
  const proxy = createProxyServer({
    target: {
      protocol: target.secure ? "https:" : "http:",
      host: target.host,
      port: target.port,
      socketPath: target.socketPath,
    } as never,
    ...(target.secure ? {} : { agent }),
  });
  const closed = deferred();
  const entry: InFlightEntry = {
    abort: (reason) => {
      account.failed(
        { code: "unavailable", httpStatus: 503, reason: reason.message, retryAfterMs: undefined },
        "aborted",
      );
      socket.destroy();
    },
  };
  let timer = { cancel: (): void => {} };
  socket.on("close", () => closed.resolve());
  proxy.on("proxyReqWs", (outgoing: ClientRequest) => {
    // The library would put the path through a URL parser; it goes byte for byte.
    outgoing.path = decision.upstreamPath;
    timer = context.clock.after(context.options.headersTimeoutMs, () =>
      outgoing.destroy(new Error("no answer in time")),
    );
    socket.on("close", () => outgoing.destroy());
    outgoing.on("upgrade", (_answer, peer: Duplex) => {
      account.status = 101;
      timer.cancel();
      context.traffic.answered(runtimeId);
      // The library ends both gently; a peer that never answers the end would keep its socket for ever.
      socket.on("close", () => peer.destroy());
      peer.on("close", () => socket.end());
      peer.on("error", () => socket.destroy());
    });
    outgoing.on("response", (answer: IncomingMessage) => {
      account.status = answer.statusCode ?? 0;
      timer.cancel();
      context.traffic.answered(runtimeId);
      // Cut off, and not ended, if the refusal itself breaks.
      answer.on("error", () => socket.destroy());
    });
  });
  const failed = (error: Error): void => {
    if (socket.destroyed || account.status !== 0) return;
    const reason = `${runtimeId} cannot be reached: ${error.message}`;
    context.traffic.failed(runtimeId, reason);
    account.failed(
      { code: "unavailable", httpStatus: 502, reason, retryAfterMs: context.options.retryAfterMs },
      "provider-failed",
    );
    account.status = 502;
    refuseUpgrade(socket, { code: "unavailable", httpStatus: 502, reason, retryAfterMs: context.options.retryAfterMs });
  };
  proxy.on("error", failed);
  provider.inFlight.enter(entry);
  try {
    const shim = {
      method: "GET",
      url: "/",
      httpVersion: "1.1",
      httpVersionMajor: 1,
      headers: { ...headers, upgrade: "websocket" },
    };
    // The library takes WebSocket only by the request's own field; what goes out is the caller's.
    proxy.ws(shim as never, socket as never, call.early, { headers } as never);
    await closed.promise;
  } finally {
    timer.cancel();
    provider.inFlight.leave(entry);
    agent.destroy();
  }
}

const gone: CallFailure = {
  code: "canceled",
  httpStatus: 499,
  reason: "the caller went away",
  retryAfterMs: undefined,
};
