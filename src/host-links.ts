import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { HostLink } from "./host-link.js";
import type { ConnectionInfo, ExchangeHandler } from "./http/exchange.js";
import { answerPlain, type HeadLimits } from "./http/request-check.js";
import type { Clock } from "./internal/clock.js";
import { type Deferred, deferred } from "./internal/deferred.js";
import { LaunchedLinks } from "./launched-links.js";
import { callKind, closeCode, resetCode } from "./link/frame.js";
import { HttpExchange } from "./link/http-exchange.js";
import { acceptLink } from "./link/link-opening.js";
import { LinkSession } from "./link/link-session.js";
import type { LinkStream, LinkStreamHandler } from "./link/link-stream.js";
import { MessageExchange } from "./link/message-exchange.js";
import type { ResolvedLinkOptions } from "./link-options.js";
import type { RuntimeId } from "./model/catalog.js";
import type { Principal } from "./model/principal.js";
import type { LinkCaller } from "./router/link-calls.js";
import { isServicePath } from "./router/path.js";
import type { ProviderLinks } from "./router/provider-links.js";

type PluginPrincipal = Extract<Principal, { kind: "plugin" }>;

/** What links need of the rest of the host. */
export interface HostLinksParts {
  readonly clock: Clock;
  readonly options: ResolvedLinkOptions;
  /** For requests that plugins send whole. */
  readonly headLimits: HeadLimits;
  /** Who owns a runtime id now: the same plugin, the one that it turned out to be, or undefined if it is good no more. */
  readonly identityOf: (runtimeId: RuntimeId) => { readonly runtimeId: RuntimeId; readonly selfId: string } | undefined;
  /** Aborted when the plugin is gone; undefined if there is none. */
  readonly goneSignal: (runtimeId: RuntimeId) => AbortSignal | undefined;
  /** A plugin's link takes calls from now on, or takes none any more. */
  readonly changed: (runtimeId: RuntimeId, isOpen: boolean) => void;
  readonly proveAlive: (runtimeId: RuntimeId) => void;
  readonly isStopping: () => boolean;
  /** Takes calls of messages to other plugins. */
  readonly takeCall: (stream: LinkStream, by: LinkCaller) => LinkStreamHandler;
  /** Takes everything else. Must not reject. */
  readonly handle: ExchangeHandler;
  readonly onError: (error: unknown) => void;
}

const refused: LinkStreamHandler = { onData() {}, onEnd() {}, onReset() {} };

/** The links of all plugins: one for each, the last one that it dialled. */
export class HostLinks implements ProviderLinks {
  /** Links that the host's own launches hold, and that nobody has dialled. */
  readonly launched: LaunchedLinks;
  readonly #parts: HostLinksParts;
  readonly #all = new Set<HostLink>();
  /** Those that take calls. */
  readonly #open = new Map<RuntimeId, HostLink>();
  /** Those whose other side has not greeted yet. */
  readonly #greeting = new Map<RuntimeId, HostLink>();
  #stoppedGraceMs: number | undefined;
  #empty: Deferred<void> | undefined;

  constructor(parts: HostLinksParts) {
    this.#parts = parts;
    this.launched = new LaunchedLinks({
      clock: parts.clock,
      limits: parts.options.limits,
      onError: parts.onError,
      take: (stream, link) => this.#take(stream, link),
      joined: (link) => {
        this.#all.add(link);
        this.#greet(link);
        if (link.session?.state === "open") this.#ready(link);
      },
      leaving: (link) => this.#detach(link),
      closed: (link) => this.#closed(link),
    });
  }

  get isFull(): boolean {
    return this.#all.size >= this.#parts.options.maxLinks;
  }

  sessionOf(runtimeId: RuntimeId): LinkSession | undefined {
    return this.#open.get(runtimeId)?.session;
  }

  /** Opens the link that a plugin asks for. Never rejects. The request is checked and the plugin known. */
  async accept(
    request: IncomingMessage,
    socket: Duplex,
    early: Buffer,
    connection: ConnectionInfo,
    principal: PluginPrincipal,
  ): Promise<void> {
    const { limits } = this.#parts.options;
    const link = new HostLink(principal, connection, request.headers.host ?? "", limits);
    this.#all.add(link);
    try {
      const transport = await acceptLink(request, socket, early);
      link.session = new LinkSession(transport, {
        role: "acceptor",
        clock: this.#parts.clock,
        limits,
        onCall: (stream) => this.#take(stream, link),
        onReady: () => this.#ready(link),
        onGoAway: () => this.#detach(link),
        onClose: () => this.#closed(link),
        onError: this.#parts.onError,
      });
    } catch {
      // It has gone, or was told what is wrong with its request.
      socket.destroy();
      return this.#closed(link);
    }
    this.#greet(link);
  }

  /** An open link shows that its plugin lives. */
  proveAlive(): void {
    for (const runtimeId of this.#open.keys()) this.#parts.proveAlive(runtimeId);
  }

  /** No new calls over any link; resolves when the last has ended, at the latest after `graceMs`. */
  close(graceMs: number): Promise<void> {
    this.#stoppedGraceMs = graceMs;
    for (const link of [...this.#all]) link.leave(graceMs);
    if (this.#all.size === 0) return Promise.resolve();
    this.#empty ??= deferred();
    return this.#empty.promise;
  }

  #greet(link: HostLink): void {
    const { runtimeId } = link;
    if (this.#stoppedGraceMs !== undefined) return link.leave(this.#stoppedGraceMs);
    if (!this.#isGood(link)) return;
    this.#greeting.get(runtimeId)?.end(closeCode.replaced, "a newer link of the same plugin");
    this.#greeting.set(runtimeId, link);
    this.#follow(link);
  }

  #ready(link: HostLink): void {
    if (!this.#isGood(link)) return;
    const { runtimeId } = link;
    if (this.#greeting.get(runtimeId) === link) this.#greeting.delete(runtimeId);
    const before = this.#open.get(runtimeId);
    this.#open.set(runtimeId, link);
    this.#parts.proveAlive(runtimeId);
    before?.end(closeCode.replaced, "a newer link of the same plugin");
    this.#parts.changed(runtimeId, true);
  }

  /** Watches for the end of the link's plugin. */
  #follow(link: HostLink): void {
    link.forgetPlugin();
    const gone = this.#parts.goneSignal(link.runtimeId);
    if (gone === undefined || gone.aborted) return this.#revoke(link);
    // Whoever ends plugins is in the middle of it.
    const onGone = (): void => queueMicrotask(() => void this.#isGood(link));
    gone.addEventListener("abort", onGone, { once: true });
    link.forgetPlugin = () => gone.removeEventListener("abort", onGone);
  }

  /** Whether the link's identity is good, as it may also be when it has become another plugin's. Ends the link if not. */
  #isGood(link: HostLink): boolean {
    const identity = this.#parts.identityOf(link.runtimeId);
    if (identity === undefined) {
      this.#revoke(link);
      return false;
    }
    const { runtimeId, selfId } = identity;
    if (runtimeId === link.runtimeId) return true;
    const wasOpen = this.#open.get(link.runtimeId) === link;
    this.#forget(link);
    link.becomes({ kind: "plugin", runtimeId, selfId });
    this.#follow(link);
    if (wasOpen) this.#ready(link);
    return true;
  }

  #revoke(link: HostLink): void {
    this.#detach(link);
    if (this.#parts.isStopping()) link.leave(this.#stoppedGraceMs ?? stoppingGraceMs);
    else link.end(closeCode.revoked, "the plugin's identity is good no more");
  }

  #closed(link: HostLink): void {
    this.#all.delete(link);
    link.forgetPlugin();
    this.#detach(link);
    if (this.#all.size === 0) this.#empty?.resolve();
  }

  /** The link takes no more calls. */
  #detach(link: HostLink): void {
    const wasOpen = this.#open.get(link.runtimeId) === link;
    this.#forget(link);
    if (wasOpen) this.#parts.changed(link.runtimeId, false);
  }

  #forget(link: HostLink): void {
    for (const links of [this.#open, this.#greeting]) {
      if (links.get(link.runtimeId) === link) links.delete(link.runtimeId);
    }
  }

  #take(stream: LinkStream, link: HostLink): LinkStreamHandler {
    const { takeCall, headLimits } = this.#parts;
    const { kind, path } = stream.head;
    const identity = this.#parts.identityOf(link.runtimeId);
    if (identity?.runtimeId !== link.runtimeId && !this.#isGood(link)) {
      stream.reset(resetCode.refused, "the plugin's identity is good no more");
      return refused;
    }
    const by = link.caller;
    if (kind !== callKind.http && isServicePath(path)) return takeCall(stream, by);
    if (kind !== callKind.http) return this.#serve(new MessageExchange(stream, by.connection, by.authority, by.budget));
    const exchange = new HttpExchange(stream, by.connection);
    const refusal = exchange.refusal(headLimits);
    if (refusal === undefined) return this.#serve(exchange);
    answerPlain(exchange, refusal.status, refusal.message);
    return exchange.handler;
  }

  /** In the next tick, when it is known whether the call has a body. */
  #serve(exchange: HttpExchange | MessageExchange): LinkStreamHandler {
    queueMicrotask(() => {
      if (exchange.ended === undefined) void this.#parts.handle(exchange);
    });
    return exchange.handler;
  }
}

// For a plugin that the host lets go while it stops, before it closes all links.
const stoppingGraceMs = 10_000;
