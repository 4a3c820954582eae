import { Code, ConnectError } from "@connectrpc/connect";
import { invalid, PluginHostError } from "../errors.js";
import { type BackOffOptions, backOffMs } from "../internal/back-off.js";
import type { Clock } from "../internal/clock.js";
import { type Deferred, deferred } from "../internal/deferred.js";
import { dialLink } from "../link/dial-link.js";
import { closeCode } from "../link/frame.js";
import { linkFeature } from "../link/host-features.js";
import { LinkSession } from "../link/link-session.js";
import type { LinkCloseReason } from "../link/link-session-options.js";
import type { LinkStream, LinkStreamHandler } from "../link/link-stream.js";
import { pause } from "./back-off.js";
import { type Credential, credentialHeaders, type HostAccess, type HostAccessCell } from "./host-access.js";
import type { PluginEventListener } from "./plugin-event.js";

/** What a link needs. */
export interface PluginLinkOptions {
  readonly cell: HostAccessCell;
  readonly clock: Clock;
  readonly backOff: BackOffOptions;
  /** Time limit of one attempt. */
  readonly dialTimeoutMs: number;
  /** Takes the host's calls, and those of others that it lets through. */
  readonly onCall: (stream: LinkStream) => LinkStreamHandler;
  /** A link stands, so that everything that the host may have forgotten with the last one is to be said again. */
  readonly onOpen: () => void;
  /** The host does not know the identity that the link was dialled with. */
  readonly onRefused: (used: Credential) => void;
  readonly onEvent: PluginEventListener;
}

// As much as over HTTP: what a message may be is for the host and for the implementations to say.
const limits = { maxMessageBytes: 2 ** 32 - 1 };

// A link that stood for so long was no failure.
const steadyMs = 1_000;

// Answers that do not mean that there will never be a link: too many, and not now.
const passing: ReadonlySet<unknown> = new Set([429, 503]);

/**
 * Keeps a link to the host open while the host takes links: dials, dials again when it ends, and leaves the plugin on plain
 * HTTP where there is none to be had.
 */
export class PluginLink {
  readonly #options: PluginLinkOptions;
  readonly #stop = new AbortController();
  readonly #sessions = new Set<LinkSession>();
  readonly #closed = new Set<() => void>();
  /** An identity with which there is no link to be had. */
  #hopeless: Credential | undefined;
  /** The identity of the last attempt that has ended. */
  #tried: Credential | undefined;
  #outcome: Deferred<void> = deferred();

  constructor(options: PluginLinkOptions) {
    this.#options = options;
  }

  /** Whether a link stands for the present identity. */
  get isOpen(): boolean {
    const access = this.#options.cell.current;
    return access?.connection.linkOf(access.identity.runtimeId) !== undefined;
  }

  /** Resolves when it is known whether there is a link for the present identity: at once, or after the first attempt. */
  async settled(): Promise<void> {
    while (!this.#stop.signal.aborted && !this.isOpen) {
      const access = this.#wanted();
      if (access === undefined || access.identity.token === this.#tried?.token) return;
      await this.#outcome.promise;
    }
  }

  /**
   * As {@link settled}, for a plugin that nothing but a link reaches.
   *
   * @throws PluginHostError `INVALID_ARGUMENT` if the host takes no links; ConnectError `unavailable` if there is none yet
   */
  async required(): Promise<void> {
    await this.settled();
    const access = this.#options.cell.current;
    if (this.isOpen || this.#stop.signal.aborted || access === undefined) return;
    if (!access.features.has(linkFeature)) {
      throw invalid("listen", 'is "never", but this host takes no links, so that nothing could reach the plugin');
    }
    throw new ConnectError("there is no link to the host yet, and the plugin listens on no port", Code.Unavailable);
  }

  /** Returns when the link is closed; never throws. */
  async run(): Promise<void> {
    const { cell, backOff } = this.#options;
    const { signal } = this.#stop;
    let failures = 0;
    while (!signal.aborted) {
      const access = this.#wanted();
      if (access === undefined) {
        this.#tell();
        await cell.nextChange(signal);
        continue;
      }
      const ended = await this.#attempt(access);
      this.#tried = access.identity;
      this.#tell();
      if (ended === "next") {
        failures = 0;
      } else if (ended === "failed" || ended === "lost") {
        failures = ended === "lost" ? 1 : failures + 1;
        await this.#rest(backOffMs(failures, backOff));
      }
    }
  }

  /** Lets calls that go on finish, for at most `graceMs`, and closes. Idempotent. */
  async close(graceMs: number): Promise<void> {
    this.#stop.abort();
    this.#tell();
    for (const session of this.#sessions) session.close("the plugin stops", closeCode.graceful, graceMs);
    if (this.#sessions.size > 0) await new Promise<void>((resolve) => this.#closed.add(resolve));
  }

  /** Another identity, or another host, is a good reason to try at once. */
  async #rest(delayMs: number): Promise<void> {
    const rest = new AbortController();
    const end = (): void => rest.abort();
    this.#stop.signal.addEventListener("abort", end, { once: true });
    if (this.#stop.signal.aborted) end();
    this.#options.cell.nextChange(rest.signal).then(end, end);
    await pause(this.#options.clock, delayMs, rest.signal);
    end();
    this.#stop.signal.removeEventListener("abort", end);
  }

  /** Undefined if there is nobody to dial, or no use. */
  #wanted(): HostAccess | undefined {
    const access = this.#options.cell.current;
    if (access === undefined || access.connection.address.inMemory || !access.features.has(linkFeature))
      return undefined;
    const { identity } = access;
    return identity.token === this.#hopeless?.token ? undefined : access;
  }

  #tell(): void {
    const outcome = this.#outcome;
    this.#outcome = deferred();
    outcome.resolve();
  }

  /** Dials, and waits until another link is wanted. */
  async #attempt(access: HostAccess): Promise<"next" | "lost" | "failed" | "hopeless"> {
    const { connection, identity } = access;
    const { key: url, ca } = connection.address;
    const { clock, dialTimeoutMs: timeoutMs, onRefused, onEvent } = this.#options;
    const { signal } = this.#stop;
    try {
      const tls = ca === undefined ? {} : { tls: { ca: [...ca] } };
      const headers = credentialHeaders(identity);
      const transport = await dialLink({ url, headers, timeoutMs, clock, signal, ...tls });
      if (signal.aborted) {
        transport.destroy();
        return "hopeless";
      }
      return await this.#hold(
        access,
        (events) => new LinkSession(transport, { role: "dialler", clock, limits, ...events }),
      );
    } catch (error) {
      if (signal.aborted) return "hopeless";
      const status = error instanceof PluginHostError ? error.details.status : undefined;
      onEvent({ kind: "link-failed", error });
      if (status === undefined || passing.has(status)) return "failed";
      this.#hopeless = identity;
      if (status === 401) onRefused(identity);
      return "hopeless";
    }
  }

  async #hold(
    access: HostAccess,
    start: (events: SessionEvents) => LinkSession,
  ): Promise<"next" | "lost" | "failed" | "hopeless"> {
    const { connection, identity } = access;
    const { onCall, onOpen, onEvent, clock } = this.#options;
    const since = clock.monotonic();
    const leave = deferred<"next" | LinkCloseReason>();
    let ready = false;
    const session = start({
      onCall,
      onReady: () => {
        ready = true;
        connection.link = { session, runtimeId: identity.runtimeId };
        onEvent({ kind: "link-open", runtimeId: identity.runtimeId });
        onOpen();
        this.#tell();
      },
      onGoAway: () => leave.resolve("next"),
      onClose: (reason) => {
        this.#forget(session);
        if (connection.link?.session === session) connection.link = undefined;
        if (ready && !this.#stop.signal.aborted) onEvent({ kind: "link-lost", reason: reason.message });
        leave.resolve(reason);
      },
      onError: (error) => onEvent({ kind: "error", error }),
    });
    this.#sessions.add(session);
    const watching = new AbortController();
    void this.#untilOther(access, watching.signal).then(() => leave.resolve("next"));
    const ended = await leave.promise;
    watching.abort();
    // A host that takes links only to end them must not be dialled as fast as it can do that.
    const stood = ready && clock.monotonic() - since >= steadyMs;
    if (ended === "next") {
      session.close("the plugin has another link", closeCode.graceful);
      return stood ? "next" : "failed";
    }
    if (ended.byPeer && (ended.code === closeCode.revoked || ended.code === closeCode.replaced)) {
      this.#hopeless = identity;
      if (ended.code === closeCode.revoked) this.#options.onRefused(identity);
      return "hopeless";
    }
    return stood ? "lost" : "failed";
  }

  /** Resolves when the plugin is somebody else, or somewhere else. */
  async #untilOther({ identity, connection }: HostAccess, signal: AbortSignal): Promise<void> {
    const { cell } = this.#options;
    while (!signal.aborted) {
      const now = cell.current;
      if (now !== undefined && (now.identity.runtimeId !== identity.runtimeId || now.connection !== connection)) return;
      await cell.nextChange(signal);
    }
  }

  #forget(session: LinkSession): void {
    this.#sessions.delete(session);
    if (this.#sessions.size > 0) return;
    for (const resolve of this.#closed) resolve();
    this.#closed.clear();
  }
}

type SessionEvents = Pick<
  ConstructorParameters<typeof LinkSession>[1],
  "onCall" | "onReady" | "onGoAway" | "onClose" | "onError"
> & { readonly onReady: () => void };
