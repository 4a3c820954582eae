import { Code, ConnectError } from "@connectrpc/connect";
import type { PluginHostError } from "../errors.js";
import { backOffMs } from "../internal/back-off.js";
import type { Timer } from "../internal/clock.js";
import { type Deferred, deferred } from "../internal/deferred.js";
import type { Credential, HostAccess } from "./host-access.js";
import { HostConnection } from "./host-connection.js";
import { type HandshakeResult, handshake, refusalOf } from "./host-handshake.js";
import { type CallLimits, registerServices, reportHealth, unregisterServices } from "./host-registration.js";
import type { GivenIdentity, SessionOptions } from "./session-options.js";
import { toWireDeclaration } from "./wire-declaration.js";

type Phase =
  /** The host does not know the plugin, or cannot be reached. */
  | {
      readonly kind: "detached";
      readonly previous: Credential | undefined;
      /** Whether the handshake has to wait as after a failure: the last one did not hold. */
      readonly rests: boolean;
    }
  | { readonly kind: "identified" }
  | { readonly kind: "registered"; readonly registrationIds: readonly string[] };

type Due = "report" | "renew";

// An identity that the host refuses sooner than this was no cure: then handshakes keep their distance.
const steadyMs = 1_000;

/**
 * Keeps one running plugin known to its host: identity, registrations, health reports, renewal, and all of it again when
 * the host comes back. One loop does one thing after the other, so that nothing overtakes.
 */
export class HostSession {
  readonly #options: SessionOptions;
  readonly #stop = new AbortController();
  readonly #due = new Set<Due>();
  readonly #timers = new Map<Due, Timer>();
  readonly #registered = deferred();
  readonly #stopped = deferred();
  #phase: Phase = { kind: "detached", previous: undefined, rests: false };
  #everRegistered = false;
  /** As the last handshake gave it; undefined before the first. */
  #hostSecret: string | undefined;
  #connection: HostConnection | undefined;
  /** When the present identity came, by the clock's `monotonic`. */
  #adoptedAt = Number.NEGATIVE_INFINITY;
  #wake: Deferred<void> = deferred();
  #urgent: Deferred<void> = deferred();
  #loop: Promise<void> = Promise.resolve();

  constructor(options: SessionOptions) {
    this.#options = options;
    if (options.host !== undefined) this.#connection = new HostConnection(options.host);
    // Whoever is interested asks for `registered`; a session that nobody asks must not end the process.
    this.#registered.promise.catch(() => {});
  }

  /** Resolves after the first complete registration; rejects with a PluginHostError if the host refuses the plugin. */
  get registered(): Promise<void> {
    return this.#registered.promise;
  }

  start(): void {
    const unsubscribe = this.#options.health.onChange(() => this.#nudge("report"));
    this.#stop.signal.addEventListener("abort", unsubscribe, { once: true });
    this.#loop = this.#run();
  }

  /** Takes what a managing host gives: a first identity, a fresh token for it, or another identity. */
  accept({ identity, host, features }: GivenIdentity): void {
    const { cell, onEvent } = this.#options;
    const before = cell.current?.identity ?? (this.#phase.kind === "detached" ? this.#phase.previous : undefined);
    const renewed = before?.runtimeId === identity.runtimeId;
    // A plugin that was told its host at the start keeps to it.
    if (this.#options.host === undefined && host !== undefined && this.#connection?.address.key !== host.key) {
      this.#connection?.close();
      this.#connection = new HostConnection(host);
    }
    onEvent({ kind: "identified", runtimeId: identity.runtimeId, renewed });
    if (this.#connection === undefined) return;
    // A host without our features is the Go library's, whose router does not take an identity given this way.
    const routing = features.size > 0 ? identity : renewed ? cell.current?.routing : undefined;
    cell.set({ connection: this.#connection, identity, routing, features });
    if (!renewed || this.#phase.kind === "detached") this.#phase = { kind: "identified" };
    this.#urgent.resolve();
    this.#wake.resolve();
  }

  /** A link stands: what the host may have forgotten with the last one is told again. */
  resume(): void {
    if (this.#phase.kind !== "registered") return;
    this.#phase = { kind: "identified" };
    this.#urgent.resolve();
    this.#wake.resolve();
  }

  /**
   * Says that a call with `used` failed in a way that a lost host or a dead identity would explain. `hostIsThere`: it was the
   * host that refused it.
   */
  suspect(used: Credential, hostIsThere = false): void {
    const access = this.#options.cell.current;
    if (access === undefined) return;
    // There is no reason to wait any longer for a host that has come back.
    if (hostIsThere) this.#urgent.resolve();
    if (used === access.routing && used !== access.identity) this.#options.cell.set({ ...access, routing: undefined });
    if (used === access.routing || used === access.identity) this.#nudge("report");
  }

  /**
   * The host itself has said that it does not know `used`: from now on calls wait for the next identity, and the handshake for it begins at
   * once. Returns whether another identity is there, or the plugin can get one.
   */
  refused(used: Credential): boolean {
    const { cell, host } = this.#options;
    const access = cell.current;
    if (this.#stop.signal.aborted) return false;
    if (access === undefined) return host !== undefined;
    if (used.token !== access.identity.token && used !== access.routing) return true;
    // Whoever is given its identity, is not registered yet or has two of them finds out by its next report.
    if (host === undefined || !this.#everRegistered || access.routing !== access.identity) {
      this.suspect(used, true);
      return false;
    }
    if (!this.#isNew) this.#urgent.resolve();
    this.#detach("the host does not know the plugin any more", true, this.#isNew);
    this.#wake.resolve();
    return true;
  }

  /** Ends the session; with `farewell` the registrations are taken back first, within `farewellMs`. */
  async stop(farewell: boolean, farewellMs: number): Promise<void> {
    const access = this.#options.cell.current;
    const phase = this.#phase;
    this.#stop.abort();
    this.#stopped.resolve();
    for (const timer of this.#timers.values()) timer.cancel();
    this.#wake.resolve();
    this.#urgent.resolve();
    await this.#loop;
    if (farewell && access !== undefined && phase.kind === "registered") {
      const signal = new AbortController();
      const timer = this.#options.clock.after(farewellMs, () => signal.abort());
      await unregisterServices(access, phase.registrationIds, { ...this.#limits, signal: signal.signal });
      timer.cancel();
    }
  }

  /** Closes every connection to the host and ends the calls on them. After `stop`. */
  close(): void {
    this.#connection?.close();
  }

  get #limits(): CallLimits {
    return { signal: this.#stop.signal, timeoutMs: this.#options.hostCallTimeoutMs };
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    let failures = 0;
    while (!signal.aborted) {
      this.#wake = deferred();
      this.#urgent = deferred();
      try {
        await this.#advance();
        failures = 0;
        await this.#wake.promise;
      } catch (error) {
        if (signal.aborted) return;
        const wasDetached = this.#phase.kind === "detached";
        const refusal = this.#settle(error);
        if (refusal !== undefined) return this.#registered.reject(refusal);
        // An identity that has held until now: the next one is worth a try at once.
        if (!wasDetached && this.#options.cell.current === undefined && !this.#isNew) continue;
        failures += 1;
        const delayMs = backOffMs(failures, this.#options.backOff);
        this.#options.onEvent({ kind: "retrying", failures, delayMs, error });
        const timer = this.#options.clock.after(delayMs, this.#urgent.resolve);
        await this.#urgent.promise;
        timer.cancel();
      }
    }
  }

  /** Whether the present identity has not held for long. */
  get #isNew(): boolean {
    return this.#options.clock.monotonic() - this.#adoptedAt < steadyMs;
  }

  /** Does what is to be done now; returns when there is nothing. */
  async #advance(): Promise<void> {
    if (this.#phase.kind === "detached" && this.#phase.rests) {
      this.#phase = { ...this.#phase, rests: false };
      throw new ConnectError("the host has refused an identity that it had just given", Code.Unauthenticated);
    }
    if (this.#phase.kind === "detached" && this.#options.host !== undefined) await this.#identify(this.#phase.previous);
    if (this.#phase.kind === "identified") await this.#register();
    if (this.#due.delete("renew")) await this.#renew();
    if (this.#due.has("report")) await this.#report();
    const access = this.#options.cell.current;
    if (access !== undefined && access.routing === undefined) await this.#identifyForRouting(access);
  }

  async #identify(previous: Credential | undefined): Promise<void> {
    let result: HandshakeResult;
    try {
      result = await this.#handshake(previous);
    } catch (error) {
      const code = ConnectError.from(error).code;
      if (previous === undefined || (code !== Code.Unauthenticated && code !== Code.PermissionDenied)) throw error;
      result = await this.#handshake(undefined);
    }
    this.#adopt(result, previous);
    this.#phase = { kind: "identified" };
  }

  async #renew(): Promise<void> {
    const access = this.#options.cell.current;
    if (this.#options.host === undefined || access === undefined) return;
    const result = await this.#handshake(access.identity);
    this.#adopt(result, access.identity);
    if (result.identity.runtimeId !== access.identity.runtimeId) {
      this.#phase = { kind: "identified" };
      await this.#register();
    }
  }

  #adopt({ identity, features, hostSecret }: HandshakeResult, previous: Credential | undefined): void {
    if (this.#connection === undefined) return;
    this.#hostSecret = hostSecret;
    // Until it is registered it may still be given its identity by a host that does not know yet that it is the same plugin.
    if (hostSecret === "" || this.#everRegistered) this.#options.knownHost.learn(hostSecret);
    this.#options.cell.set({ connection: this.#connection, identity, routing: identity, features });
    this.#adoptedAt = this.#options.clock.monotonic();
    const renewed = previous?.runtimeId === identity.runtimeId;
    this.#options.onEvent({ kind: "identified", runtimeId: identity.runtimeId, renewed });
    this.#later("renew", this.#options.renewMs);
  }

  async #identifyForRouting(access: HostAccess): Promise<void> {
    if (this.#options.definition.requires.length === 0) return;
    const { identity } = await this.#handshake(undefined);
    const now = this.#options.cell.current;
    if (now?.connection === access.connection) this.#options.cell.set({ ...now, routing: identity });
  }

  async #register(): Promise<void> {
    await Promise.race([this.#options.ready, this.#stopped.promise]);
    // Registering over a link tells the host at once how the plugin is reached.
    await Promise.race([this.#options.reached(), this.#stopped.promise]);
    const access = this.#options.cell.current;
    if (access === undefined || this.#stop.signal.aborted) return;
    const { definition, baseUrl } = this.#options;
    // Over TLS both sides agree on the protocol by ALPN.
    const protocols = baseUrl.startsWith("https:") ? {} : { protocols: "h1,h2c" };
    const metadata = baseUrl === "" ? {} : { base_url: baseUrl, ...protocols };
    const registrationIds = await registerServices(access, definition.provides, metadata, this.#limits);
    await reportHealth(access, this.#options.health.current, this.#limits);
    // Another identity may have come meanwhile; then all of this is to be done again for that one.
    const { runtimeId } = access.identity;
    if (this.#options.cell.current?.identity.runtimeId !== runtimeId) return this.#wake.resolve();
    this.#phase = { kind: "registered", registrationIds };
    this.#everRegistered = true;
    if (this.#hostSecret !== undefined) this.#options.knownHost.learn(this.#hostSecret);
    this.#beat();
    this.#options.onEvent({ kind: "registered", runtimeId, registrationIds });
    this.#registered.resolve();
  }

  async #report(): Promise<void> {
    const access = this.#options.cell.current;
    // Without a host there is nobody to tell; registering tells the present state anyway.
    if (access === undefined || this.#phase.kind !== "registered") return void this.#due.delete("report");
    const sent = this.#options.health.current;
    await reportHealth(access, sent, this.#limits);
    if (this.#options.health.current === sent) this.#due.delete("report");
    else this.#wake.resolve();
    this.#beat();
  }

  #beat(): void {
    if (this.#options.host !== undefined) this.#later("report", this.#options.heartbeatMs);
  }

  #handshake(previous: Credential | undefined): Promise<HandshakeResult> {
    const { definition, baseUrl } = this.#options;
    if (this.#connection === undefined) throw new Error("a handshake needs a host");
    const declaration = toWireDeclaration(definition);
    const caller = { selfId: definition.id, selfVersion: definition.version, baseUrl, declaration };
    return handshake(this.#connection, caller, this.#options.handshake, previous, this.#limits);
  }

  /** Decides what a failure means for the phase. Returns an error if trying again is no use. */
  #settle(error: unknown): PluginHostError | undefined {
    const { host } = this.#options;
    const { code, message } = ConnectError.from(error);
    const was = this.#phase;
    const unknownIdentity = code === Code.Unauthenticated;
    // Before the first registration it is the settings that are wrong; later the host may be the one that changes.
    if (host !== undefined && !this.#everRegistered && (was.kind === "detached" || !unknownIdentity)) {
      const refusal = refusalOf(error);
      if (refusal !== undefined) return refusal;
    }
    if (was.kind === "detached" || (host === undefined && !unknownIdentity)) return undefined;
    this.#detach(message, unknownIdentity);
    return undefined;
  }

  #detach(reason: string, unknownIdentity: boolean, rests = false): void {
    const { cell, onEvent } = this.#options;
    const was = this.#phase;
    const previous = cell.current?.identity ?? (was.kind === "detached" ? was.previous : undefined);
    this.#phase = { kind: "detached", previous, rests: rests && was.kind !== "detached" };
    // Calls wait for the next identity instead of failing with this one; while the host is away they fail at once.
    if (unknownIdentity) cell.set(undefined);
    if (was.kind !== "detached") onEvent({ kind: "host-lost", reason });
  }

  #later(due: Due, delayMs: number): void {
    this.#timers.get(due)?.cancel();
    if (!this.#stop.signal.aborted)
      this.#timers.set(
        due,
        this.#options.clock.after(delayMs, () => this.#nudge(due)),
      );
  }

  /** Tells the host the plugin's present health once more. */
  reportAgain(): void {
    this.#nudge("report");
  }

  #nudge(due: Due): void {
    this.#due.add(due);
    this.#wake.resolve();
  }
}
