import type { DescService } from "@bufbuild/protobuf";
import {
  type Client,
  ConnectError,
  type ContextValues,
  createClient,
  createContextKey,
  type Interceptor,
  type StreamRequest,
  type StreamResponse,
  type Transport,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import { endStreamsWithReader } from "../http/connect-client.js";
import { setTimeoutOf, timeoutOf } from "../http/timeout-header.js";
import type { Clock } from "../internal/clock.js";
import { LinkCallTransport, noConnection } from "../link/link-call-transport.js";
import type { DependencyCalls } from "./dependency-calls.js";
import { dependencyFetch, dependencyTransport, isReplayable } from "./dependency-client.js";
import { oneMessage, peeked, tellingStart } from "./interceptors/stream-start.js";
import { throughHost } from "./interceptors/through-host.js";
import { type MemberChoice, mostHopeful } from "./member-choice.js";
import type { ResolvedDependency } from "./resolve-definition.js";

type Request = UnaryRequest | StreamRequest;
type AnyResponse = UnaryResponse | StreamResponse;

const memberKey = createContextKey<ResolvedDependency | undefined>(undefined, {
  description: "the service type that an attempt goes to",
});

/** The service type that an attempt goes to; `otherwise` if there is no choice. */
export const memberOf = (values: ContextValues, otherwise: ResolvedDependency): ResolvedDependency =>
  values.get(memberKey) ?? otherwise;

/** A client whose calls go to one of several service types; {@link anyMember} among `interceptors` says to which. */
export function memberClient<Desc extends DescService>(
  service: Desc,
  members: readonly [ResolvedDependency, ...ResolvedDependency[]],
  calls: DependencyCalls,
  interceptors: readonly Interceptor[],
): Client<Desc> {
  const transports = new Map<ResolvedDependency, Transport>();
  for (const member of members) transports.set(member, dependencyTransport(service, member, calls, []));
  const dispatch: Interceptor = () => (request) => {
    const transport = transports.get(memberOf(request.contextValues, members[0])) as Transport;
    const { signal, header, contextValues } = request;
    const timeoutMs = timeoutOf(header);
    return request.stream
      ? transport.stream(request.method, signal, timeoutMs, header, request.message, contextValues)
      : transport.unary(request.method, signal, timeoutMs, header, request.message, contextValues);
  };
  // It holds the interceptors and the time of the whole call; what is under them never comes to its own ways.
  const transport = new LinkCallTransport({
    route: () => undefined,
    connection: noConnection,
    interceptors: [throughHost, ...interceptors, dispatch],
  });
  return endStreamsWithReader(service, createClient(service, transport));
}

/**
 * Sends each call to the best member, and to the next one when the host says that nobody is there and has passed it to nobody. Streams that the
 * caller writes go on to the next member only if nothing of them was taken.
 */
export const anyMember =
  (choice: MemberChoice, clock: Clock): Interceptor =>
  (next) =>
  async (request) => {
    const startedAt = clock.monotonic();
    if (!choice.isSettled) await choice.settled(request.signal);
    const attempt = (member: ResolvedDependency): Request => {
      const header = new Headers(request.header);
      const timeoutMs = timeoutOf(header);
      if (timeoutMs !== undefined) setTimeoutOf(header, timeoutMs - (clock.monotonic() - startedAt));
      return { ...request, header, contextValues: withMember(request.contextValues, member) };
    };
    const { signal } = request;
    if (!request.stream) return tryEach(choice, signal, (member) => next(attempt(member)));
    if (request.method.methodKind === "server_streaming") {
      const messages = await oneMessage(request.message);
      return tryEach(choice, signal, async (member) => {
        const response = await next({ ...attempt(member), message: messages() } as Request);
        // A refusal of a stream comes where its first message would.
        return peeked(response as StreamResponse);
      });
    }
    let taken = false;
    const onStart = (): void => {
      taken = true;
    };
    const send = (member: ResolvedDependency): Promise<AnyResponse> => {
      const message = tellingStart(request.message as AsyncIterable<never>, onStart);
      return next({ ...attempt(member), message } as Request);
    };
    return tryEach(choice, signal, send, () => !taken);
  };

async function tryEach<T>(
  choice: MemberChoice,
  signal: AbortSignal,
  send: (member: ResolvedDependency) => Promise<T>,
  mayGoOn: () => boolean = () => true,
): Promise<T> {
  const errors: unknown[] = [];
  for (const member of choice.ranked()) {
    try {
      return await send(member);
    } catch (error) {
      errors.push(error);
      if (signal.aborted || !mayGoOn() || !choice.isNotThere(ConnectError.from(error))) throw error;
    }
  }
  throw mostHopeful(errors);
}

/** The values of the call, which several attempts at a time may share, and the member of one attempt. */
function withMember(values: ContextValues, member: ResolvedDependency): ContextValues {
  const own: ContextValues = {
    get: (key) => (key.id === memberKey.id ? (member as never) : values.get(key)),
    set(key, value) {
      values.set(key, value);
      return own;
    },
    delete(key) {
      values.delete(key);
      return own;
    },
  };
  return own;
}

/** Sends any HTTP request to the best member, and to the next one as calls of a client do, if its body can be sent again. */
export async function fetchFromAny(
  choice: MemberChoice,
  calls: DependencyCalls,
  path: string,
  init?: RequestInit,
): Promise<Response> {
  if (!choice.isSettled) await choice.settled(init?.signal ?? undefined);
  const members = choice.ranked();
  const isOnce = init?.body !== undefined && init.body !== null && !isReplayable(init.body);
  let refused: Response | undefined;
  let thrown: unknown;
  for (const member of members) {
    try {
      const response = await dependencyFetch(member, calls, path, init);
      if (isOnce || !choice.isRefusal(response)) return response;
      // One that may pass says more than one that will not.
      if (refused === undefined || (refused.status === 404 && response.status === 503)) {
        await refused?.body?.cancel();
        refused = response;
      } else await response.body?.cancel();
    } catch (error) {
      if (isOnce || init?.signal?.aborted === true || !choice.isNotThere(ConnectError.from(error))) throw error;
      thrown ??= error;
    }
  }
  if (refused === undefined) throw thrown;
  return refused;
}
