import type { Clock } from "../internal/clock.js";
import type { PluginRecord } from "../model/catalog.js";
import type { ResolvedRouterOptions } from "./options.js";
import type { TargetAddress } from "./target-address.js";
import type { Upstream, UpstreamFailure } from "./upstream.js";
import { Http1Upstream } from "./upstream-http1.js";
import { Http2Upstream } from "./upstream-http2.js";

/** How a call goes on to a provider. `probe` means that it has to be found out first, `none` that there is no way. */
export type HopProtocol = "h1" | "h2" | "probe" | "none";

/** The connections to one address, and what is known of the protocols spoken there. */
export class ProviderPool {
  readonly #clock: Clock;
  readonly #options: ResolvedRouterOptions;
  #http1: Http1Upstream | undefined;
  #http2: Http2Upstream | undefined;
  #prober: Http2Upstream | undefined;
  /** What a connection has shown of the present incarnation; undefined before. */
  #speaksHttp2: boolean | undefined;
  /** Whether a call over HTTP/1.1 was answered in HTTP/2. */
  #http2Only = false;
  #incarnation = 0;

  constructor(
    readonly target: TargetAddress,
    clock: Clock,
    options: ResolvedRouterOptions,
  ) {
    this.#clock = clock;
    this.#options = options;
  }

  /** Forgets what was learned from an earlier program at the same address. */
  used(plugin: PluginRecord): void {
    if (plugin.startedAt <= this.#incarnation) return;
    this.#incarnation = plugin.startedAt;
    this.#speaksHttp2 = undefined;
    this.#http2Only = false;
  }

  /**
   * If certificates were replaced, closes the connections made with the old ones: idle ones now, the others when their
   * calls are over.
   */
  renew(): void {
    if (this.#http1?.isOutdated === true) {
      this.#http1.close();
      this.#http1 = undefined;
    }
    this.#http2?.renew();
  }

  /** A call over HTTP/1.1 was not understood. */
  speaksHttp2Only(): void {
    this.#speaksHttp2 = true;
    this.#http2Only = true;
  }

  /** Which protocol a call of an HTTP/2 caller, or of gRPC, takes. */
  protocolFor(callerIsHttp2: boolean, isGrpc: boolean): HopProtocol {
    const declared = this.target.protocols;
    const http1 = declared === undefined || declared.includes("h1");
    const http2 = declared === undefined ? this.#speaksHttp2 : declared.includes(this.target.secure ? "h2" : "h2c");
    if (this.#http2Only) return "h2";
    // Over TLS the protocol is agreed on, so that nobody has to try what a server may not understand.
    if (declared === undefined && this.target.secure && http2 !== false) return http2 === undefined ? "probe" : "h2";
    if (!callerIsHttp2) return http1 || http2 !== true ? "h1" : "h2";
    if (http2 === undefined) return "probe";
    if (http2) return "h2";
    return isGrpc && this.target.connect === undefined ? "none" : "h1";
  }

  upstream(protocol: "h1" | "h2"): Upstream {
    if (protocol === "h1") {
      this.#http1 ??= new Http1Upstream(this.target, { clock: this.#clock, ...this.#options });
      return this.#http1;
    }
    this.#http2 ??= this.#newHttp2(this.#options.connectTimeoutMs);
    return this.#http2;
  }

  /**
   * Finds out whether HTTP/2 is spoken here, once per incarnation. `tell` gets the failure if nothing answers; calls may
   * go on with `protocolFor` otherwise.
   */
  probe(tell: (failure: UpstreamFailure | undefined) => void): void {
    const incarnation = this.#incarnation;
    // The prober's sessions carry calls afterwards, so that a probe costs no connection.
    const { connectTimeoutMs, probeTimeoutMs } = this.#options;
    // Over TLS the handshake tells; in cleartext it is the silence of a provider that does not understand.
    this.#http2 ??= this.#prober ??= this.#newHttp2(
      this.target.secure ? connectTimeoutMs : Math.min(probeTimeoutMs, connectTimeoutMs),
    );
    this.#http2.probe((result) => {
      if (result.kind === "unreachable") {
        tell(result.failure);
        return;
      }
      if (incarnation === this.#incarnation) this.#speaksHttp2 = result.kind === "speaks";
      tell(undefined);
    });
  }

  /** Closes idle connections now and the others when their calls are over. */
  close(): void {
    this.#http1?.close();
    this.#http2?.close();
  }

  #newHttp2(connectTimeoutMs: number): Http2Upstream {
    const { idleSessionMs, maxStreamsPerSession, maxHeaderBytes } = this.#options;
    return new Http2Upstream(this.target, {
      clock: this.#clock,
      connectTimeoutMs,
      idleSessionMs,
      maxStreamsPerSession,
      maxHeaderBytes,
    });
  }
}
