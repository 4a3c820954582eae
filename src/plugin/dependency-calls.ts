import { Code, ConnectError } from "@connectrpc/connect";
import type { UniversalClientResponse } from "@connectrpc/connect/protocol";
import { ServiceRegistry } from "../gen/connectplugin/v1/registry_pb.js";
import { setTimeoutOf, timeoutOf } from "../http/timeout-header.js";
import type { Clock } from "../internal/clock.js";
import { hostFeatures } from "../link/host-features.js";
import { httpCallOverLink } from "../link/http-call-over-link.js";
import type { InProcessHost, InProcessRoute } from "../link/in-process-route.js";
import type { LinkRoute } from "../link/link-call-transport.js";
import { notSentField } from "../model/not-sent.js";
import { type Credential, credentialHeaders, type HostAccessCell, type RoutingAccess } from "./host-access.js";
import type { HostRequest } from "./host-connection.js";
import { hostClient } from "./host-rpc.js";
import { isHostsRefusal, readRefusal } from "./refused-identity.js";
import { RepeatableBody } from "./repeatable-body.js";
import type { ResolvedDependency } from "./resolve-definition.js";

/** What calls to dependencies need. */
export interface DependencyCallsOptions {
  readonly cell: HostAccessCell;
  readonly clock: Clock;
  readonly identityWaitMs: number;
  readonly hostCallTimeoutMs: number;
  /** Calls without a connection; undefined outside of the host's process. */
  readonly inProcess: InProcessHost | undefined;
  /** Called when a call begins to wait for an identity. */
  readonly onWait: () => void;
  /** Told when a call failed in a way that a lost host or a dead identity would explain. */
  readonly suspect: (used: Credential) => void;
  /** Told when the host has said that it does not know who called. Returns whether another identity is there, or on its way. */
  readonly refused: (used: Credential) => boolean;
}

/** What the caller gives a call, and since when. */
interface CallLimit {
  /** By the clock's `monotonic`. */
  readonly startedAt: number;
  readonly timeoutMs: number | undefined;
}

/** A request to a dependency: `path` is appended to the provider's path. */
export type DependencyRequest = HostRequest;

/**
 * Sends calls to dependencies through the host. Under our host each call asks the router to choose a provider; under
 * another the provider is discovered once, and again after anything that may have changed it.
 */
export class DependencyCalls {
  readonly #options: DependencyCallsOptions;
  readonly #endpoints = new Map<string, Promise<string>>();
  readonly #linkRoutes = new Map<string, LinkRoute>();
  readonly #routes = new Map<string, { readonly credential: Credential; readonly route: InProcessRoute }>();

  constructor(options: DependencyCallsOptions) {
    this.#options = options;
  }

  /** Discovers the providers of `type` (or of all types) again at the next call. */
  forget(type?: string): void {
    if (type === undefined) this.#endpoints.clear();
    else this.#endpoints.delete(type);
  }

  /** Whether calls may go to a provider without a connection. */
  get isInProcess(): boolean {
    return this.#options.inProcess !== undefined;
  }

  /** The way to the providers of `type` without a connection; undefined if there is none, or no identity yet. */
  route(type: string): InProcessRoute | undefined {
    const { cell, inProcess } = this.#options;
    const access = cell.current;
    if (inProcess === undefined || access?.routing === undefined || !access.features.has(hostFeatures.routeAny)) {
      return undefined;
    }
    const known = this.#routes.get(type);
    if (known?.credential === access.routing) return known.route;
    const route = this.#observed(inProcess.route(access.routing, type), access.routing);
    this.#routes.set(type, { credential: access.routing, route });
    return route;
  }

  /** The way to the providers of `type` over the link; undefined while there is none, or no identity yet. */
  linkRoute(type: string): LinkRoute | undefined {
    const access = this.#options.cell.current;
    if (access?.routing === undefined) return undefined;
    const session = access.connection.linkOf(access.routing.runtimeId);
    if (session === undefined) return undefined;
    const known = this.#linkRoutes.get(type);
    if (known?.session === session) return known;
    const route = { session, basePath: `/services/${type}/any` };
    this.#linkRoutes.set(type, route);
    return route;
  }

  /** To be told of errors that came over the link: the host may not know the plugin any more. */
  readonly onLinkError = (error: ConnectError): void => {
    const used = this.#options.cell.current?.routing;
    if (error.code !== Code.Unauthenticated || used === undefined) return;
    // Without the host's own mark it may be the provider that says so.
    if (error.metadata.get(notSentField) === used.runtimeId) this.#options.refused(used);
    else this.#options.suspect(used);
  };

  /** Tells of refusals that a dead identity would explain. */
  #observed(route: InProcessRoute, used: Credential): InProcessRoute {
    return {
      open: (request) => {
        const opened = route.open(request);
        if (opened.kind === "refused" && opened.failure.code === "unauthenticated") this.#options.suspect(used);
        return opened;
      },
    };
  }

  /**
   * Resolves when calls can be made.
   *
   * @throws ConnectError `unavailable` if the host gives no identity in time, or the reason of `signal`
   */
  async ready(signal: AbortSignal | undefined): Promise<void> {
    await this.#access(signal);
  }

  /**
   * With `overLink` the whole exchange goes over the link if there is one. A call that the host has refused because it does not know the
   * plugin any more is made once more with the next identity, if its beginning is still there.
   */
  async send(
    dependency: ResolvedDependency,
    request: DependencyRequest,
    overLink = false,
  ): Promise<UniversalClientResponse> {
    const limit = { startedAt: this.#options.clock.monotonic(), timeoutMs: timeoutOf(request.header) };
    const { body: given, ...bodyless } = request;
    if (given === undefined) {
      const { answer, isRepeatable } = await this.#attempt(dependency, request, overLink, limit);
      return isRepeatable ? (await this.#attempt(dependency, request, overLink, limit)).answer : answer;
    }
    const body = new RepeatableBody(given, request.shape === "whole");
    let again: AsyncIterable<Uint8Array> | undefined;
    const onRefusal = (): void => {
      // Now, because an answer that has ended ends the request.
      again = body.again();
    };
    const first = { ...bodyless, body: body.first() };
    const { answer, isRepeatable } = await this.#attempt(dependency, first, overLink, limit, onRefusal);
    if (isRepeatable && again !== undefined) {
      return (await this.#attempt(dependency, { ...bodyless, body: again }, overLink, limit)).answer;
    }
    if (again === undefined) body.forget();
    else body.close();
    return answer;
  }

  /** One attempt. `isRepeatable`: the host does not know the plugin by this identity, and there is or will be another. */
  async #attempt(
    dependency: ResolvedDependency,
    request: DependencyRequest,
    overLink: boolean,
    limit: CallLimit,
    onRefusal?: () => void,
  ): Promise<{ readonly answer: UniversalClientResponse; readonly isRepeatable: boolean }> {
    const access = await this.#access(request.signal);
    if (request.shape === "duplex" && !access.features.has(hostFeatures.h2c)) {
      throw new ConnectError(
        "streams in both directions at once need HTTP/2, which this host does not speak",
        Code.Unimplemented,
      );
    }
    const { routing } = access;
    try {
      const endpoint = await this.#endpointOf(dependency, access);
      const { path, header } = request;
      for (const [name, value] of Object.entries(credentialHeaders(routing))) header.set(name, value);
      const waitedMs = this.#options.clock.monotonic() - limit.startedAt;
      if (limit.timeoutMs !== undefined && waitedMs >= 1) setTimeoutOf(header, limit.timeoutMs - waitedMs);
      const session = overLink ? access.connection.linkOf(routing.runtimeId) : undefined;
      const call = { ...request, path: endpoint + path };
      const answer = await (session === undefined
        ? access.connection.send(call)
        : httpCallOverLink(session, call, new URL(access.connection.address.origin).host));
      if (isHostsRefusal(answer, routing.runtimeId)) {
        onRefusal?.();
        const refusal = await readRefusal(answer);
        if (refusal.isUnknownCaller) return { answer: refusal.answer, isRepeatable: this.#options.refused(routing) };
        this.#observe(dependency.type, answer.status, routing);
        return { answer: refusal.answer, isRepeatable: false };
      }
      this.#observe(dependency.type, answer.status, routing);
      return { answer, isRepeatable: false };
    } catch (error) {
      const { code } = ConnectError.from(error);
      if (code === Code.Unavailable || code === Code.Unauthenticated) this.#options.suspect(routing);
      throw error;
    }
  }

  #observe(type: string, status: number, used: Credential): void {
    if (status === 401) this.#options.suspect(used);
    if (status === 404 || (status >= 502 && status <= 504)) this.forget(type);
  }

  async #access(signal: AbortSignal | undefined): Promise<RoutingAccess> {
    const { cell, clock, identityWaitMs, onWait } = this.#options;
    const now = cell.current;
    if (now?.routing !== undefined) return now as RoutingAccess;
    if (signal?.aborted === true) throw ConnectError.from(signal.reason, Code.Canceled);
    onWait();
    const patience = new AbortController();
    const tooLate = (): void => {
      const message = `the host has given no identity within ${identityWaitMs} ms, so the call could not be made`;
      // Nobody is named, because there is nobody yet.
      patience.abort(new ConnectError(message, Code.Unavailable, { [notSentField]: "" }));
    };
    const timer = clock.after(identityWaitMs, tooLate, true);
    const cancel = (): void => patience.abort(ConnectError.from(signal?.reason, Code.Canceled));
    signal?.addEventListener("abort", cancel, { once: true });
    try {
      return await cell.forRouting(patience.signal);
    } finally {
      timer.cancel();
      signal?.removeEventListener("abort", cancel);
    }
  }

  #endpointOf({ type, minVersion }: ResolvedDependency, access: RoutingAccess): Promise<string> {
    if (access.features.has(hostFeatures.routeAny)) return Promise.resolve(`/services/${type}/any`);
    const known = this.#endpoints.get(type);
    if (known !== undefined) return known;
    const found = this.#discover(type, minVersion, access);
    this.#endpoints.set(type, found);
    found.catch(() => {
      if (this.#endpoints.get(type) === found) this.#endpoints.delete(type);
    });
    return found;
  }

  async #discover(serviceType: string, minVersion: string, { connection, routing }: RoutingAccess): Promise<string> {
    const registry = hostClient(ServiceRegistry, connection, credentialHeaders(routing));
    const timeoutMs = this.#options.hostCallTimeoutMs;
    const asked = registry.discoverService({ serviceType, minVersion }, { timeoutMs });
    const { endpoint } = await asked.catch((thrown: unknown) => {
      const error = ConnectError.from(thrown);
      // Whoever cannot be found was not called either.
      error.metadata.set(notSentField, routing.runtimeId);
      throw error;
    });
    // An absolute URL would carry the plugin's token to another place than its host.
    if (endpoint === undefined || !endpoint.endpointUrl.startsWith("/")) {
      throw new ConnectError(`the host offers no path to ${serviceType}`, Code.Internal);
    }
    return endpoint.endpointUrl.replace(/\/+$/, "");
  }
}
