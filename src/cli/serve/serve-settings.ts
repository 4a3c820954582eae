import path from "node:path";
import type { ListenTarget, PlatformOptions, PluginHostError, ServerTlsOptions } from "../../index.js";
import { CliError } from "../cli-error.js";
import type { HostConfig } from "../config/config-schema.js";
import { type LoadedConfig, readConfig } from "../config/read-config.js";
import type { CliEnvironment } from "../environment.js";
import { exitCodes } from "../exit-codes.js";
import { hostVariables } from "../host-address.js";
import { exitCodeFor, hintFor } from "../host-error-codes.js";
import { listenForm, parseListen } from "../listen-address.js";
import { readIngress } from "./read-ingress.js";
import type { ServeOptions } from "./serve-options.js";
import { readServerTls, readUpstreamTls, type TlsFiles, type UpstreamTlsFiles } from "./tls-files.js";

/** Everything that `serve` was told, by options, variables and the configuration file, in this order. */
export interface ServeSettings {
  readonly listen: ListenTarget;
  readonly adminSocket: string | undefined;
  /** A port of its own for the admin service. */
  readonly adminListen: ListenTarget | undefined;
  /** The host's certificate: what was read, and from where. */
  readonly tls: { readonly files: TlsFiles; readonly folder: string; readonly read: ServerTlsOptions } | undefined;
  /** Certificates towards all providers. */
  readonly upstreamTls: UpstreamTlsFiles | undefined;
  readonly platform: PlatformOptions;
  /** Whether to stop the kept programs that are not among `plugins`. */
  readonly sweepKept: boolean;
  readonly selection: NonNullable<HostConfig["selection"]>;
  readonly plugins: NonNullable<HostConfig["plugins"]>;
  /** From where modules and programs are looked for. */
  readonly folder: string;
  /** An error of the host about one of these settings, with its place in the file; undefined if it is not about the file. */
  explain(error: PluginHostError): CliError | undefined;
}

/** Puts the settings together. @throws CliError `usage` */
export async function readSettings(options: ServeOptions, environment: CliEnvironment): Promise<ServeSettings> {
  const { variables, workingDirectory } = environment;
  const loaded =
    options.config === undefined ? undefined : await readConfig(options.config, { variables, workingDirectory });
  const config = loaded?.config ?? {};
  const {
    listen,
    adminSocket,
    adminListen,
    tls,
    router,
    selection = {},
    plugins = [],
    ingress,
    stateDir,
    sweepKept = false,
    $schema,
    ...rest
  } = config;
  const variable = (name: string): string | undefined => variables[name] || undefined;
  const secrets = {
    adminToken: options.adminToken ?? variable(hostVariables.adminToken) ?? config.adminToken,
    joinToken: options.joinToken ?? variable(hostVariables.joinToken) ?? config.joinToken,
  };
  const folder = loaded?.folder ?? workingDirectory;
  const socket = options.adminSocket === undefined ? adminSocket : path.resolve(workingDirectory, options.adminSocket);
  const adminPort = options.adminListen ?? adminListen;
  const upstreamTls = router?.tls;
  const { exposed, ...strict } = readIngress(ingress, options.expose);
  const habits = {
    ...strict,
    ...router,
    ...(upstreamTls && { tls: await readUpstreamTls(upstreamTls, folder, "router.tls") }),
  };
  const state = stateDir === undefined ? undefined : path.resolve(folder, stateDir);
  const platform = { ...rest, ...secrets, stateDir: state, router: habits, ingress: exposed };
  return {
    listen: readListen(
      options.listen ?? listen ?? "127.0.0.1:0",
      options.listen === undefined ? folder : workingDirectory,
    ),
    adminListen: adminPort === undefined ? undefined : readAdminListen(adminPort),
    upstreamTls,
    adminSocket: socket === undefined ? undefined : path.resolve(folder, socket),
    tls: await readTls(options, tls, { folder, workingDirectory }),
    platform: withoutUndefined(platform) as PlatformOptions,
    sweepKept,
    selection,
    plugins,
    folder,
    explain: (error) => explain(error, loaded),
  };
}

/** Options for both files come before those of the configuration; the rest of its settings stays. */
async function readTls(
  { tlsCert, tlsKey }: ServeOptions,
  configured: TlsFiles | undefined,
  places: { readonly folder: string; readonly workingDirectory: string },
): Promise<ServeSettings["tls"]> {
  if ((tlsCert === undefined) !== (tlsKey === undefined))
    throw new CliError(exitCodes.usage, "--tls-cert and --tls-key belong together; give both of them");
  if (tlsCert === undefined || tlsKey === undefined) {
    if (configured === undefined) return undefined;
    return { files: configured, folder: places.folder, read: await readServerTls(configured, places.folder) };
  }
  const named = {
    cert: path.resolve(places.workingDirectory, tlsCert),
    key: path.resolve(places.workingDirectory, tlsKey),
  };
  const files = { ...configured, ...named };
  return { files, folder: places.folder, read: await readServerTls(files, places.folder) };
}

function readAdminListen(text: string): ListenTarget {
  const target = parseListen(text);
  if (target !== undefined && !("path" in target)) return target;
  throw new CliError(
    exitCodes.usage,
    `--admin-listen must be HOST:PORT, got ${JSON.stringify(text)}; --admin-socket is for Unix sockets`,
  );
}

function readListen(text: string, folder: string): ListenTarget {
  const target = parseListen(text);
  if (target === undefined) {
    throw new CliError(exitCodes.usage, `--listen must be ${listenForm}, got ${JSON.stringify(text)}`);
  }
  return "path" in target ? { path: path.resolve(folder, target.path) } : target;
}

/** Options count as given even if they are undefined, so that what was not given has to go. */
const withoutUndefined = (values: Readonly<Record<string, unknown>>): object =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));

function explain(error: PluginHostError, loaded: LoadedConfig | undefined): CliError | undefined {
  const { code, field, step, message, details } = error;
  if (loaded === undefined) return undefined;
  // An error of a set of plugins says which one it is about.
  if (typeof details.index === "number") {
    const more = { hostCode: code, step, hint: hintFor(code) };
    return loaded.errorAt(`plugins[${details.index}]`, `failed: ${message}`, exitCodeFor(code), more);
  }
  if (field === undefined || code !== "INVALID_ARGUMENT") return undefined;
  const [first = ""] = field.split(/[.[]/);
  if (!Object.hasOwn(loaded.config, first)) return undefined;
  return loaded.errorAt(field, message.startsWith(field) ? message.slice(field.length).trimStart() : message);
}
