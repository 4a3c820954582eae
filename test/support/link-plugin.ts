import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { HealthState } from "../../src/gen/connectplugin/v1/common_pb.js";
import { GetHealthResponseSchema } from "../../src/gen/connectplugin/v1/control_pb.js";
import {
  RegisterServiceRequestSchema,
  RegisterServiceResponseSchema,
} from "../../src/gen/connectplugin/v1/registry_pb.js";
import type { FieldList } from "../../src/http/exchange.js";
import { fieldValue } from "../../src/http/field-list.js";
import { systemClock } from "../../src/internal/clock.js";
import { deferred } from "../../src/internal/deferred.js";
import { dialLink } from "../../src/link/dial-link.js";
import { type CallKind, callKind } from "../../src/link/frame.js";
import { okEnd } from "../../src/link/head-codec.js";
import type { LinkLimits } from "../../src/link/link-limits.js";
import { LinkSession } from "../../src/link/link-session.js";
import type { LinkCloseReason } from "../../src/link/link-session-options.js";
import type { LinkEnd, LinkStream, LinkStreamHandler } from "../../src/link/link-stream.js";
import type { LinkTransport } from "../../src/link/link-transport.js";
import type { Identity } from "./host.js";

/** What a call over a link came to. */
export interface LinkAnswer {
  readonly fields: FieldList;
  readonly messages: readonly string[];
  /** Undefined if the call was reset. */
  readonly end: LinkEnd | undefined;
  readonly reset: { readonly code: number; readonly message: string } | undefined;
}

/** A call that goes on. */
export interface LinkCallInProgress {
  readonly stream: LinkStream;
  readonly answer: Promise<LinkAnswer>;
  /** Resolves with the next message that comes. */
  next(): Promise<string>;
}

/** A program that plays a plugin on a link, without the SDK. */
export interface LinkPlugin extends AsyncDisposable {
  readonly identity: Identity;
  readonly session: LinkSession;
  readonly transport: LinkTransport;
  readonly closed: Promise<LinkCloseReason>;
  /** Resolves with the reason when the host takes no more calls. */
  readonly goneAway: Promise<string>;
  /** Heads of the calls that came, but for those of the host itself. */
  readonly heads: { readonly kind: CallKind; readonly path: string; readonly fields: FieldList }[];
  register(type: string, metadata?: Record<string, string>): Promise<string>;
  call(path: string, messages?: readonly string[], options?: CallOptions): Promise<LinkAnswer>;
  open(path: string, options?: CallOptions, message?: string): LinkCallInProgress;
}

/** How a call is made. */
export interface CallOptions {
  readonly kind?: CallKind;
  readonly deadlineMs?: number;
  readonly fields?: FieldList;
}

/** How a plugin is played. */
export interface LinkPluginOptions {
  readonly limits?: Partial<LinkLimits>;
  /** Takes calls of others; undefined leaves one to the usual echo. */
  readonly serve?: (stream: LinkStream) => LinkStreamHandler | undefined;
  /** What GetHealth says. */
  readonly health?: () => HealthState;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (data: Uint8Array): string => new TextDecoder().decode(data);

/** Sends back what comes; a unary call gets `x-caller` with who the host says it is from. */
function echo(stream: LinkStream): LinkStreamHandler {
  const { kind, fields } = stream.head;
  const caller = ["x-caller", fieldValue(fields, "x-plugin-caller-self-id") ?? ""];
  const isHttp = kind === callKind.http;
  const type = fieldValue(fields, "content-type") ?? "text/plain";
  stream.sendHead(isHttp ? [":status", "200", "content-type", type, ...caller] : caller);
  return {
    pieces: true,
    onData(data, endOfMessage) {
      if (stream.send(Uint8Array.from(data), !isHttp && endOfMessage)) stream.consume();
    },
    onEnd: () => stream.end({ ...okEnd, trailers: ["x-trailer", "t"] }),
    onReset: () => {},
    onDrain: () => stream.consume(),
  };
}

/** Dials a link with an identity. */
export async function linkPlugin(
  url: string,
  identity: Identity,
  options: LinkPluginOptions = {},
): Promise<LinkPlugin> {
  const headers = { "x-plugin-runtime-id": identity.runtimeId, authorization: `Bearer ${identity.token}` };
  const transport = await dialLink({ url, headers, timeoutMs: 10_000, clock: systemClock });
  const closed = deferred<LinkCloseReason>();
  const goneAway = deferred<string>();
  const ready = deferred<void>();
  const heads: LinkPlugin["heads"] = [];
  const session: LinkSession = new LinkSession(transport, {
    role: "dialler",
    clock: systemClock,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    onReady: () => ready.resolve(),
    onGoAway: (message) => goneAway.resolve(message),
    onClose: (reason) => {
      closed.resolve(reason);
      ready.resolve();
    },
    onCall(stream) {
      const { kind, path, fields } = stream.head;
      if (path.startsWith("/connectplugin.")) return control(stream, options.health ?? (() => HealthState.HEALTHY));
      heads.push({ kind, path, fields });
      return options.serve?.(stream) ?? echo(stream);
    },
  });
  await ready.promise;
  const open: LinkPlugin["open"] = (path, { kind = callKind.bidi, deadlineMs = 0, fields = [] } = {}, message) => {
    const { handler, answer, next } = listener();
    const end = kind === callKind.unary || kind === callKind.serverStream;
    const stream = session.open(
      { kind, path, deadlineMs, fields },
      handler,
      message === undefined ? undefined : bytes(message),
      end && message !== undefined,
    );
    handler.stream = stream;
    return { stream, answer, next };
  };
  const plugin: LinkPlugin = {
    identity,
    session,
    transport,
    closed: closed.promise,
    goneAway: goneAway.promise,
    heads,
    open,
    call(path, messages = ["hi"], { kind = callKind.unary, ...more } = {}) {
      const call = open(path, { kind, ...more }, kind === callKind.unary ? messages[0] : undefined);
      if (kind !== callKind.unary) {
        for (const message of messages) call.stream.send(bytes(message));
        call.stream.end();
      }
      return call.answer;
    },
    async register(type, metadata = {}) {
      const request = create(RegisterServiceRequestSchema, {
        serviceType: type,
        version: "1.0.0",
        endpointPath: "/echo.v1.Echo/",
        metadata,
      });
      const message = toBinary(RegisterServiceRequestSchema, request);
      const { handler, answer, raw } = listener();
      handler.stream = session.open(
        { kind: callKind.unary, path: "/connectplugin.v1.ServiceRegistry/RegisterService", deadlineMs: 0, fields: [] },
        handler,
        message,
        true,
      );
      const { end, reset } = await answer;
      if (end?.code !== 0) throw new Error(`not registered: ${end?.message ?? reset?.message}`);
      return fromBinary(RegisterServiceResponseSchema, raw[0] as Uint8Array).registrationId;
    },
    async [Symbol.asyncDispose]() {
      session.close("the test is over", 0, 0);
      await closed.promise;
    },
  };
  return plugin;
}

function control(stream: LinkStream, health: () => HealthState): LinkStreamHandler {
  return {
    onData: () => stream.consume(),
    onEnd() {
      if (!stream.head.path.endsWith("/GetHealth")) return stream.end({ ...okEnd, code: 12, message: "not here" });
      const answer = create(GetHealthResponseSchema, { state: health() });
      stream.end(okEnd, toBinary(GetHealthResponseSchema, answer));
    },
    onReset: () => {},
  };
}

function listener() {
  const answer = deferred<LinkAnswer>();
  const messages: string[] = [];
  const raw: Uint8Array[] = [];
  const waiting: ((message: string) => void)[] = [];
  let taken = 0;
  let fields: FieldList = [];
  const handler: LinkStreamHandler & { stream: LinkStream | undefined } = {
    stream: undefined,
    onHead(given, informational) {
      if (!informational) fields = given;
    },
    onData(data) {
      raw.push(Uint8Array.from(data));
      messages.push(text(data));
      if (waiting.length > 0) waiting.shift()?.(messages[taken++] as string);
      handler.stream?.consume();
    },
    onEnd: (end) => answer.resolve({ fields, messages, end, reset: undefined }),
    onReset: (code, message) => answer.resolve({ fields, messages, end: undefined, reset: { code, message } }),
  };
  const next = (): Promise<string> => {
    const known = messages[taken];
    if (known !== undefined) {
      taken += 1;
      return Promise.resolve(known);
    }
    return new Promise((resolve) => waiting.push(resolve));
  };
  return { handler, answer: answer.promise, raw, next };
}
