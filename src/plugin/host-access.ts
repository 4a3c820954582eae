import { Code, ConnectError } from "@connectrpc/connect";
import type { HostConnection } from "./host-connection.js";

/** What a plugin shows to its host. */
export interface Credential {
  readonly runtimeId: string;
  /** A secret. */
  readonly token: string;
}

/** Everything that a plugin needs to call its host. */
export interface HostAccess {
  readonly connection: HostConnection;
  /** For registration and health reports. */
  readonly identity: Credential;
  /**
   * For discovery, watches and calls to other plugins. The same as `identity` except under hosts that
   * want a handshake for it, where it is undefined until that was done.
   */
  readonly routing: Credential | undefined;
  /** See `link/host-features.ts`; empty under another host than ours. */
  readonly features: ReadonlySet<string>;
}

/** Access that is good for calls to other plugins. */
export interface RoutingAccess extends HostAccess {
  readonly routing: Credential;
}

/** The headers that prove who calls. */
export const credentialHeaders = ({ runtimeId, token }: Credential): Readonly<Record<string, string>> => ({
  "x-plugin-runtime-id": runtimeId,
  authorization: `Bearer ${token}`,
});

/** Holds the present access to the host, and lets calls wait for it. */
export class HostAccessCell {
  #access: HostAccess | undefined;
  readonly #waiting = new Set<() => void>();
  readonly #used = new Set<string>();
  #closed = false;

  get current(): HostAccess | undefined {
    return this.#access;
  }

  set(access: HostAccess | undefined): void {
    this.#access = access;
    if (access?.routing !== undefined) this.#used.add(access.routing.runtimeId);
    this.#wake();
  }

  /** Whether calls were made under this runtime id. */
  hasUsed(runtimeId: string): boolean {
    return this.#used.has(runtimeId);
  }

  /** No access comes any more. */
  close(): void {
    this.#closed = true;
    this.#wake();
  }

  /**
   * Resolves as soon as there is access that is good for calls to other plugins.
   *
   * @throws ConnectError `unavailable` once the cell is closed, or the signal's reason
   */
  async forRouting(signal: AbortSignal): Promise<RoutingAccess> {
    for (;;) {
      signal.throwIfAborted();
      const access = this.#access;
      if (access?.routing !== undefined) return access as RoutingAccess;
      if (this.#closed) throw new ConnectError("the plugin has stopped", Code.Unavailable);
      await this.nextChange(signal);
    }
  }

  /** Resolves at the next change, or when `signal` is aborted. */
  nextChange(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#waiting.add(done);
      signal.addEventListener("abort", done, { once: true });
    });
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done();
  }
}
