import type { AddressInfo } from "node:net";
import { invalid, PluginHostError } from "./errors.js";
import type { ListenOptions } from "./host-server.js";
import type { ServerExchange } from "./http/exchange.js";
import { createOnePortServer, type OnePortServer } from "./http/one-port-server.js";
import { answerPlain } from "./http/request-check.js";
import { resolveServerTls } from "./http/server-tls.js";
import type { KeyPair } from "./http/tls-material.js";
import { isLoopbackAddress } from "./identity/admission.js";
import { type Authentication, createAuthenticator } from "./identity/authenticate.js";
import { readCredentials, takePrefix } from "./identity/credentials.js";
import type { IdentityStore } from "./identity/identity-store.js";
import { originRefusal } from "./identity/origin-guard.js";
import type { Clock } from "./internal/clock.js";
import type { AdminPort } from "./rpc/admin-service.js";
import { adminProcedures } from "./rpc/host-procedures.js";

/** What an admin listener needs. */
export interface AdminListenerParts {
  readonly admin: AdminPort;
  readonly adminToken: string | undefined;
  readonly identities: IdentityStore;
  readonly clock: Clock;
  readonly onError: (error: unknown) => void;
}

const operator: Authentication = { kind: "principal", principal: { kind: "admin" } };

/**
 * The admin service on a listener of its own. On a Unix socket, which gets mode 0600, whoever can open it is an operator;
 * on a TCP port the admin token is needed.
 */
export class AdminListener {
  readonly #server: OnePortServer;
  readonly #parts: AdminListenerParts;

  constructor(parts: AdminListenerParts) {
    this.#parts = parts;
    const authenticate = createAuthenticator({
      identities: parts.identities,
      launchOf: () => undefined,
      joinToken: undefined,
      adminToken: parts.adminToken,
    });
    const authenticationOf = ({ head }: ServerExchange): Authentication =>
      head.connection.transport === "unix" ? operator : authenticate(readCredentials(head, takePrefix(head.target)));
    const procedures = adminProcedures(parts.admin, authenticationOf);
    this.#server = createOnePortServer({
      clock: parts.clock,
      onError: parts.onError,
      handler: async (exchange) => {
        const { head } = exchange;
        const loopbackOnly = isLoopbackAddress(head.connection.remoteAddress);
        const refusal = originRefusal(head, { loopbackOnly, publicAuthority: undefined });
        if (refusal !== undefined) return answerPlain(exchange, 403, refusal);
        const handled = procedures.handle(exchange);
        if (handled === false) return answerPlain(exchange, 404, "only the admin service is served here");
        await handled;
      },
    });
  }

  /**
   * @throws PluginHostError `LISTEN_REFUSED` for a TCP port without an admin token, `INVALID_ARGUMENT` that names a field
   * of `tls`; Node's error
   */
  async listen(target: ListenOptions): Promise<string> {
    if ("path" in target) {
      if (target.tls !== undefined) throw invalid("tls", "is for TCP ports; a Unix socket is for its owner only");
      // The socket is made before `listen` returns, so the process's umask is another for no other work than that: nobody
      // can connect between the socket's birth and a later chmod.
      const before = process.umask(0o177);
      let listening: Promise<void>;
      try {
        listening = this.#server.listen(target);
      } finally {
        process.umask(before);
      }
      await listening;
      return `unix:${target.path}`;
    }
    if (this.#parts.adminToken === undefined) {
      throw new PluginHostError("LISTEN_REFUSED", "an admin port needs adminToken; a Unix socket does not");
    }
    const tls = target.tls === undefined ? undefined : resolveServerTls(target.tls);
    const { port: wanted, host } = target;
    await this.#server.listen({ port: wanted, ...(host === undefined ? {} : { host }) }, tls);
    const { address, port, family } = this.#server.address() as AddressInfo;
    return `${tls === undefined ? "http" : "https"}://${family === "IPv6" ? `[${address}]` : address}:${port}`;
  }

  /** Uses another certificate for handshakes from now on. False if there is none to replace. @throws PluginHostError */
  setCertificate(keyPair: KeyPair): boolean {
    return this.#server.setCertificate(keyPair);
  }

  close(graceMs: number): Promise<void> {
    return this.#server.close({ graceMs });
  }
}
