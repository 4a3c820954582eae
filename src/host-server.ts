import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { invalid, PluginHostError } from "./errors.js";
import { checkObject } from "./http/check-object.js";
import type { ConnectionInfo, ExchangeHandler } from "./http/exchange.js";
import { connectInMemory } from "./http/memory-connection.js";
import {
  createOnePortServer,
  type ListenTarget,
  type OnePortServer,
  type UpgradeHandler,
} from "./http/one-port-server.js";
import { type ResolvedServerTls, resolveServerTls, type ServerTlsOptions } from "./http/server-tls.js";
import { certificateDoubt, checkKeyPair, type KeyPair } from "./http/tls-material.js";
import { type AdmissionPolicy, isLoopbackAddress, isLoopbackHost } from "./identity/admission.js";
import type { PluginAddress } from "./model/address.js";
import { shownValue } from "./model/limits.js";
import type { Principal } from "./model/principal.js";
import { checkPath, checkWhole } from "./option-checks.js";
import type { ResolvedOptions } from "./options.js";

/** Where a platform listens, and with which certificate. */
export type ListenOptions = ListenTarget & {
  /**
   * Makes the port speak TLS, with ALPN for HTTP/2 and HTTP/1.1. For TCP ports only. The certificate should be good for the
   * address of the platform's URL, or `publicUrl` should have a name that it is good for. @default cleartext
   */
  readonly tls?: ServerTlsOptions;
};

/** A misspelt `host` would leave the host on loopback, and nobody would be told. */
function checkTarget(target: ListenOptions): void {
  checkObject("options", target, ["port", "host", "path", "tls"], "");
  if ("path" in target) return void checkPath("path", target.path);
  checkWhole("port", target.port, 0, 65_535);
  if (target.host !== undefined && typeof target.host !== "string") {
    throw invalid("host", `must be an address or a name, got ${shownValue(target.host)}`);
  }
}

/** Where a host is open to others. */
type Listening =
  | { readonly kind: "nowhere" }
  | { readonly kind: "tcp"; readonly url: string; readonly isLoopback: boolean }
  | { readonly kind: "unix"; readonly url: string };

/** What the server of a host passes on. */
export interface HostServerParts {
  readonly options: ResolvedOptions;
  readonly handler: ExchangeHandler;
  readonly onUpgrade: UpgradeHandler;
  readonly onError: (error: unknown) => void;
}

/** The host's own server: its port, if it has one, and the connections in memory. Knows under which URL it is reached. */
export class HostServer {
  readonly #options: ResolvedOptions;
  readonly #server: OnePortServer;
  #listening: Listening = { kind: "nowhere" };
  #isStarting = false;
  #tls: ResolvedServerTls | undefined;

  constructor({ options, handler, onUpgrade, onError }: HostServerParts) {
    this.#options = options;
    const limits = options.server === undefined ? {} : { limits: options.server };
    this.#server = createOnePortServer({ handler, onUpgrade, onError, clock: options.clock, ...limits });
  }

  /**
   * Resolves with what seems wrong with the certificate, if anything does.
   *
   * @throws PluginHostError `ALREADY_LISTENING`, `LISTEN_REFUSED`, `INVALID_ARGUMENT` that names the field; Node's error if the
   * port cannot be had
   */
  async listen(target: ListenOptions): Promise<string | undefined> {
    if (this.#isStarting)
      throw new PluginHostError("ALREADY_LISTENING", "this platform listens already; make another one");
    checkTarget(target);
    const host = "path" in target ? undefined : (target.host ?? "127.0.0.1");
    const isLoopback = host === undefined || isLoopbackHost(host.includes(":") ? `[${host}]` : host);
    if (!isLoopback && this.#options.joinToken === undefined && !this.#options.allowOpenAdmission) {
      throw new PluginHostError(
        "LISTEN_REFUSED",
        `on ${host} anybody on the network could become a plugin; set joinToken, or allowOpenAdmission if that is meant`,
      );
    }
    const tls = target.tls === undefined ? undefined : resolveServerTls(target.tls);
    if (tls !== undefined && "path" in target) {
      throw invalid("tls", "is for TCP ports; who may open a Unix socket is said by its folder");
    }
    this.#isStarting = true;
    try {
      await this.#server.listen(
        "path" in target ? { path: target.path } : { port: target.port, host: host as string },
        tls,
      );
    } catch (error) {
      this.#isStarting = false;
      throw error;
    }
    this.#listening =
      "path" in target
        ? { kind: "unix", url: `unix:${target.path}` }
        : { kind: "tcp", url: urlOf(this.#server.address() as AddressInfo, tls !== undefined), isLoopback };
    this.#tls = tls;
    return tls && this.#doubt(tls.keyPair);
  }

  /**
   * Uses another certificate for handshakes from now on. Returns what seems wrong with it, if anything does.
   *
   * @throws PluginHostError `TLS_OFF`, `INVALID_ARGUMENT`; nothing has changed then
   */
  setCertificate(given: KeyPair): string | undefined {
    if (this.#tls === undefined) {
      throw new PluginHostError("TLS_OFF", "there is no certificate to replace; give tls to listen");
    }
    const keyPair = checkKeyPair("certificate", given);
    this.#server.setCertificate(keyPair);
    return this.#doubt(keyPair);
  }

  /** PEM of the private authority of the host's certificate, for programs that it launches. */
  get ca(): string | undefined {
    return this.#tls?.ca;
  }

  #doubt({ cert }: KeyPair): string | undefined {
    const url = this.url();
    return url === undefined ? undefined : certificateDoubt(cert, url, this.#options.clock.now());
  }

  get isListening(): boolean {
    return this.#listening.kind !== "nowhere";
  }

  /** Base URL without a slash at the end; undefined if the host neither listens nor has a `publicUrl`. */
  url(): string | undefined {
    if (this.#options.publicUrl !== undefined) return this.#options.publicUrl;
    return this.#listening.kind === "nowhere" ? undefined : this.#listening.url;
  }

  /** Base URL for a plugin at this address. @throws PluginHostError `HOST_URL_UNKNOWN` */
  urlFor(address: PluginAddress): string {
    const url = this.url();
    if (url !== undefined) return url;
    // A module reaches the host in memory, a worker over its link, whatever the name.
    if (address.kind === "module" || address.kind === "worker") return "http://host.invalid";
    throw new PluginHostError(
      "HOST_URL_UNKNOWN",
      "a plugin outside this process needs the host's URL; call listen first, or set publicUrl for a mounted handler",
    );
  }

  /** Base URL with which who is at the other end can reach the host by HTTP. @throws PluginHostError `HOST_URL_UNKNOWN` */
  urlOver({ transport }: ConnectionInfo): string {
    const url = this.url();
    if (url?.startsWith("http") === true) return url;
    if (transport === "memory") return "http://host.invalid";
    throw new PluginHostError(
      "HOST_URL_UNKNOWN",
      "a capability needs an HTTP URL of the host; let it listen on a port, or set publicUrl",
    );
  }

  /** Whether a connection can only come from this machine, so that foreign names in its requests are suspicious. */
  isLoopback(connection: ConnectionInfo): boolean {
    if (this.#listening.kind === "tcp") return this.#listening.isLoopback;
    return isLoopbackAddress(connection.remoteAddress);
  }

  /** Who may join now. */
  admissionPolicy(): AdmissionPolicy {
    const { allowOpenAdmission, publicUrl } = this.#options;
    if (allowOpenAdmission) return "open";
    // With a public URL somebody passes requests on to this machine: that they come over loopback says nothing then.
    const isPublic = publicUrl !== undefined && !isLoopbackHost(new URL(publicUrl).hostname);
    const isOpenToOthers = this.#listening.kind === "tcp" && !this.#listening.isLoopback;
    return isPublic || isOpenToOthers ? "join-token" : "local";
  }

  /** A connection in memory to this host. With a principal, that is who is at the other end, whatever its requests say. */
  connect(principal?: Principal): Duplex {
    const [near, far] = connectInMemory();
    this.#server.accept(far, { transport: "memory", principal });
    return near;
  }

  get openConnections(): number {
    return this.#server.openConnections;
  }

  /** Connections end with the answers on them from now on. */
  leave(): void {
    this.#server.leave();
  }

  /** What has arrived already is answered. */
  async close(graceMs: number): Promise<void> {
    // In one turn connections are taken, in a later one what came on them is read; a turn with nothing to do takes no time.
    for (let turn = 0; turn < turnsToRead; turn++) await new Promise((resolve) => setImmediate(resolve));
    return this.#server.close({ graceMs });
  }
}

const turnsToRead = 10;

function urlOf({ address, family, port }: AddressInfo, secure: boolean): string {
  // A wildcard is no address to call; plugins on this machine reach it over loopback.
  const host = address === "0.0.0.0" || address === "::" ? "127.0.0.1" : address;
  return `${secure ? "https" : "http"}://${family === "IPv6" && host.includes(":") ? `[${host}]` : host}:${port}`;
}
