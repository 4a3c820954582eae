import type { AddressInfo } from "node:net";
import { invalid, PluginHostError } from "../errors.js";
import { createOnePortServer } from "../http/one-port-server.js";
import type { Clock, Timer } from "../internal/clock.js";
import { deferred } from "../internal/deferred.js";
import { closeGraceMs, DefinedPlugin } from "./define-plugin.js";
import { PluginInstance } from "./plugin-instance.js";
import { type ResolvedServeOptions, resolveServeOptions, type ServeOptions } from "./serve-options.js";

/** A plugin that listens on a port or a Unix socket. */
export interface ServedPlugin {
  /**
   * Where the host reaches it: `http://host:port`, `https://host:port` or `unix:/path`, without a slash at the end. Empty
   * if it listens nowhere.
   */
  readonly url: string;
  /** Assigned by the host; undefined until it has. */
  readonly runtimeId: string | undefined;
  /** Resolves when it is registered at a host for the first time; rejects if it is stopped before. */
  readonly registered: Promise<void>;
  /** Resolves when it has stopped, whoever asked for it. */
  readonly ended: Promise<void>;
  /**
   * Takes its registrations back, finishes calls in flight within the grace period, and closes everything. Idempotent:
   * every caller gets the same promise.
   */
  stop(options?: { readonly graceMs?: number; readonly reason?: string }): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Opens the plugin's port and connects it to a host. With a host URL it registers itself: resolves when it is registered,
 * however long the host takes to appear, and stays registered when the host is restarted. Without one it waits for
 * a host to call it: resolves when the port is open and `setup` is done. Also resolves, stopped, if somebody
 * stops it first.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` (an option, or the cookie or a name that the host refuses),
 * `APP_VERSION_MISMATCH`, `NOT_ALLOWED` or `UNAUTHENTICATED` (the host refuses the plugin), `PLUGIN_FAILED` (`setup` failed),
 * `STEP_TIMEOUT` (not registered within `startTimeoutMs`); Node's own error if it cannot listen
 */
export async function servePlugin(plugin: DefinedPlugin, options: ServeOptions = {}): Promise<ServedPlugin> {
  if (!(plugin instanceof DefinedPlugin)) throw invalid("plugin", "must come from definePlugin");
  const resolved = resolveServeOptions(options);
  const { host, link, directCalls, hostSecret, ca, handshake, times, clock, backOff, onEvent, graceMs } = resolved;
  const server = createOnePortServer({
    handler: (exchange) => instance.handler(exchange),
    onError: (error) => onEvent({ kind: "error", error }),
    clock,
  });
  const instance: PluginInstance = new PluginInstance({
    definition: plugin.definition,
    host,
    inProcess: undefined,
    link,
    onlyHost: undefined,
    directCalls,
    hostSecret,
    ca,
    handshake,
    times,
    clock,
    backOff,
    onEvent,
    closeServer: async () => {
      await Promise.allSettled([listening]);
      await server.close({ graceMs: closeGraceMs });
    },
  });
  const stop: ServedPlugin["stop"] = (given = {}) =>
    instance.stop({ graceMs: given.graceMs ?? graceMs, reason: given.reason ?? "asked to", farewell: true });
  const forgetSignals = stopOnSignals(resolved, stop);
  instance.ended.then(forgetSignals, forgetSignals);
  if (resolved.listen === "never") keepProcess(clock, instance.ended);
  const listening = resolved.listen === "never" ? undefined : server.listen(resolved.listen, resolved.tls);
  instance.start();
  let url = "";
  try {
    if (listening !== undefined) {
      await listening;
      url = resolved.baseUrl ?? urlOf(server.address(), resolved.tls !== undefined);
      onEvent({ kind: "listening", url });
    }
    instance.open(url);
    const started = host === undefined ? instance.ready : untilRegistered(instance, resolved);
    await Promise.race([started, instance.ended]);
  } catch (error) {
    await stop({ graceMs: 0, reason: "the start failed" });
    throw error;
  }
  return {
    url,
    get runtimeId() {
      return instance.runtimeId;
    },
    registered: instance.registered,
    ended: instance.ended,
    stop,
    [Symbol.asyncDispose]: () => stop(),
  };
}

async function untilRegistered(
  instance: PluginInstance,
  { startTimeoutMs, clock }: ResolvedServeOptions,
): Promise<void> {
  if (startTimeoutMs === Number.POSITIVE_INFINITY) return instance.registered;
  const late = deferred<never>();
  const timer = clock.after(startTimeoutMs, () => {
    const message = `the plugin was not registered within ${startTimeoutMs} ms; is the host running at its URL?`;
    late.reject(new PluginHostError("STEP_TIMEOUT", message, { step: "register" }));
  });
  try {
    await Promise.race([instance.registered, late.promise]);
  } finally {
    timer.cancel();
  }
}

// A timer may not be longer.
const longestMs = 2 ** 31 - 1;

/** As an open port would: without one the process would end as soon as its link breaks, instead of dialling again. */
function keepProcess(clock: Clock, ended: Promise<void>): void {
  let timer: Timer;
  const hold = (): void => {
    timer = clock.after(longestMs, hold, true);
  };
  hold();
  const letGo = (): void => timer.cancel();
  ended.then(letGo, letGo);
}

function stopOnSignals({ shutdownSignals }: ResolvedServeOptions, stop: ServedPlugin["stop"]): () => void {
  const onSignal = (signal: NodeJS.Signals): void => void stop({ reason: signal });
  for (const signal of shutdownSignals) process.on(signal, onSignal);
  return () => {
    for (const signal of shutdownSignals) process.off(signal, onSignal);
  };
}

function urlOf(address: AddressInfo | string | undefined, secure: boolean): string {
  if (typeof address === "string") return `unix:${address}`;
  if (address === undefined) throw new Error("the server does not listen");
  // What listens everywhere is told by the address that is surely there.
  const name = { "0.0.0.0": "127.0.0.1", "::": "[::1]" }[address.address] ?? address.address;
  return `${secure ? "https" : "http"}://${name.includes(":") && !name.startsWith("[") ? `[${name}]` : name}:${address.port}`;
}
