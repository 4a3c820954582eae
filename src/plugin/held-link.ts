import { Code, ConnectError } from "@connectrpc/connect";
import type { Clock } from "../internal/clock.js";
import { deferred } from "../internal/deferred.js";
import { closeCode } from "../link/frame.js";
import { heldLinkLimits } from "../link/link-limits.js";
import { LinkSession } from "../link/link-session.js";
import type { LinkStream, LinkStreamHandler } from "../link/link-stream.js";
import type { LinkTransport } from "../link/link-transport.js";
import type { HostAddress } from "./host-address.js";
import type { PluginEventListener } from "./plugin-event.js";

/** What a held link needs. */
export interface HeldLinkOptions {
  readonly transport: LinkTransport;
  readonly clock: Clock;
  /** Takes the host's calls, and those of others that it lets through. */
  readonly onCall: (stream: LinkStream) => LinkStreamHandler;
  /** The link has ended, and there will be no other. */
  readonly onEnd: (reason: string) => void;
  readonly onEvent: PluginEventListener;
}

// What a message may be is for the host and for the implementations to say.
const limits = { ...heldLinkLimits, maxMessageBytes: 2 ** 32 - 1 };

/** The link of a plugin that was started with one and has no other way to its host. */
export class HeldLink {
  /** Where the host is, for a plugin that has been given its identity. */
  readonly address: HostAddress;
  readonly #options: HeldLinkOptions;
  readonly #open = deferred();
  readonly #over = deferred();
  #session: LinkSession | undefined;

  constructor(options: HeldLinkOptions) {
    this.#options = options;
    this.address = {
      key: "held link",
      origin: "http://host.invalid",
      prefix: "",
      connect: undefined,
      inMemory: true,
      held: this,
    };
  }

  /** Undefined before {@link run}. */
  get session(): LinkSession | undefined {
    return this.#session;
  }

  /** Resolves when the link is open, or has ended. */
  settled(): Promise<void> {
    return this.#open.promise;
  }

  /** As {@link settled}. @throws ConnectError `unavailable` if the link has ended */
  async required(): Promise<void> {
    await this.#open.promise;
    if (this.#session?.state !== "open") throw new ConnectError("the link to the host has ended", Code.Unavailable);
  }

  /** Greets the host. Resolves when the link has ended; never throws. */
  run(): Promise<void> {
    const { transport, clock, onCall, onEnd, onEvent } = this.#options;
    this.#session = new LinkSession(transport, {
      role: "dialler",
      clock,
      limits,
      onCall,
      onReady: () => this.#open.resolve(),
      onClose: ({ message }) => {
        this.#open.resolve();
        this.#over.resolve();
        onEnd(message);
      },
      onError: (error) => onEvent({ kind: "error", error }),
    });
    return this.#over.promise;
  }

  /** Lets calls that go on finish, for at most `graceMs`, and closes. Idempotent. */
  async close(graceMs: number): Promise<void> {
    if (this.#session === undefined) return this.#options.transport.destroy();
    this.#session.close("the plugin stops", closeCode.graceful, graceMs);
    await this.#over.promise;
  }
}
