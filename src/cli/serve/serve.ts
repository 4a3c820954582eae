import { Platform, PluginHostError } from "../../index.js";
import { CliError } from "../cli-error.js";
import { type CliEnvironment, type EndSignal, firstSignal } from "../environment.js";
import { type ExitCode, exitCodes } from "../exit-codes.js";
import { exitCodeFor, hintFor } from "../host-error-codes.js";
import { addConfiguredPlugins } from "./configured-plugins.js";
import { HostLog } from "./host-log.js";
import type { ServeOptions } from "./serve-options.js";
import { readSettings, type ServeSettings } from "./serve-settings.js";
import { removeStaleSocket } from "./stale-socket.js";
import { watchCertificate, watchUpstreamTls } from "./watch-certificates.js";

const codeOfSecondSignal: Readonly<Record<EndSignal, ExitCode>> = {
  SIGINT: exitCodes.interrupted,
  SIGTERM: exitCodes.terminated,
};

/**
 * Runs a host until a signal comes, then drains and stops it. A second signal ends it at once.
 *
 * @throws CliError if it cannot start; nothing is left running then
 */
export async function serve(options: ServeOptions, environment: CliEnvironment): Promise<ExitCode> {
  const settings = await readSettings(options, environment);
  const platform = explained(settings, () => new Platform(settings.platform));
  const log = new HostLog(environment, { isJson: options.json === true, isVerbose: options.verbose === true });
  log.follow(platform);
  const first = firstSignal(environment);
  const stopping = new AbortController();
  try {
    const started = start(platform, settings, {
      log,
      environment,
      isJson: options.json === true,
      signal: stopping.signal,
    });
    const failure = await Promise.race([
      first.signal,
      started.then(
        () => undefined,
        (error: unknown) => ({ error }),
      ),
    ]);
    if (typeof failure === "object") throw failure.error;
    const signal = failure ?? (await first.signal);
    first.off();
    started.catch(() => {});
    return await stop(platform, signal, environment, log, stopping);
  } catch (error) {
    await platform.stop();
    throw toCliError(error, settings);
  } finally {
    first.off();
  }
}

async function start(
  platform: Platform,
  settings: ServeSettings,
  context: {
    readonly log: HostLog;
    readonly environment: CliEnvironment;
    readonly isJson: boolean;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { listen, tls, adminSocket, adminListen, upstreamTls, selection, plugins, folder } = settings;
  const { log, environment, isJson, signal } = context;
  const watching = { onReload: environment.onReload, say: (message: string) => log.say(message) };
  const untilStopped = (end: () => void): void => signal.addEventListener("abort", end, { once: true });
  for (const [type, strategy] of Object.entries(selection)) platform.registry.setSelectionStrategy(type, strategy);
  if ("path" in listen) await removeStaleSocket(listen.path);
  await platform.listen(tls === undefined ? listen : { ...listen, tls: tls.read });
  if (tls !== undefined) {
    untilStopped(watchCertificate(platform, tls, { ...watching, hasAdminPort: adminListen !== undefined }));
  }
  if (upstreamTls !== undefined) {
    untilStopped(await watchUpstreamTls(platform, { field: "router.tls", files: upstreamTls, folder }, watching));
  }
  let adminUrl: string | undefined;
  if (adminSocket !== undefined) {
    await removeStaleSocket(adminSocket);
    adminUrl = await platform.listenAdmin({ path: adminSocket });
  }
  if (adminListen !== undefined) {
    const portUrl = await platform.listenAdmin(tls === undefined ? adminListen : { ...adminListen, tls: tls.read });
    if (adminUrl !== undefined) log.say(`admin service on ${portUrl}, too`);
    adminUrl ??= portUrl;
  }
  // Programs wait for this line: nothing may come before it.
  const url = platform.url ?? "";
  environment.stdout.write(
    isJson ? `${JSON.stringify({ url, adminUrl: adminUrl ?? null })}\n` : `listening on ${url}\n`,
  );
  const { adminToken } = settings.platform;
  if (adminUrl !== undefined) log.say(`admin service on ${adminUrl}`);
  else if (adminToken !== undefined) log.say("admin service on, for whoever has the admin token");
  else log.say("admin service off: give --admin-token or --admin-socket to look into this host and to change it");
  const ids = await addConfiguredPlugins(platform, settings, signal);
  if (settings.sweepKept) {
    for (const { pid, command } of await platform.sweepKept())
      log.say(`stopped ${command} of an earlier host, process ${pid}`);
  }
  if (plugins.length === 0) return;
  for (const [index, { tls: files }] of plugins.entries()) {
    const runtimeId = ids[index];
    if (files === undefined || runtimeId === undefined) continue;
    const ofPlugin = { field: `plugins[${index}].tls`, files, folder, runtimeId };
    untilStopped(await watchUpstreamTls(platform, ofPlugin, watching));
  }
  const down = ids.filter((id) => !["running", "unsupervised"].includes(platform.plugin(id).supervision.kind));
  if (down.length > 0) return log.say(`plugins of the configuration started but for ${down.join(", ")}`);
  log.say(`${plugins.length === 1 ? "the plugin" : `all ${plugins.length} plugins`} of the configuration started`);
}

async function stop(
  platform: Platform,
  signal: EndSignal,
  environment: CliEnvironment,
  log: HostLog,
  stopping: AbortController,
): Promise<ExitCode> {
  const second = firstSignal(environment);
  try {
    log.say(`${signal}: draining calls and stopping plugins; a second signal ends at once`);
    stopping.abort();
    const outcome = await Promise.race([platform.stop(), second.signal]);
    if (outcome !== undefined) {
      log.say(`${outcome}: ending at once`);
      return codeOfSecondSignal[outcome];
    }
    log.say("stopped");
    return exitCodes.ok;
  } finally {
    second.off();
  }
}

function explained<T>(settings: ServeSettings, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw toCliError(error, settings);
  }
}

function toCliError(error: unknown, settings: ServeSettings): unknown {
  if (error instanceof PluginHostError) {
    const known = settings.explain(error);
    if (known !== undefined) return known;
    const { code: hostCode, step, message } = error;
    return new CliError(exitCodeFor(hostCode) ?? exitCodes.failed, message, {
      hostCode,
      step,
      hint: hintFor(hostCode),
    });
  }
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "EADDRINUSE") {
    return new CliError(exitCodes.failed, message, {
      hint: "something listens there already; choose another place, or port 0",
    });
  }
  if (code === "EACCES" || code === "EADDRNOTAVAIL" || code === "ENOENT")
    return new CliError(exitCodes.failed, message);
  return error;
}
