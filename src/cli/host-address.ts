import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import path from "node:path";
import { CliError } from "./cli-error.js";
import type { CliEnvironment } from "./environment.js";
import { exitCodes } from "./exit-codes.js";

/** Where a running host's admin service is. */
export type HostAddress =
  | { readonly kind: "url"; readonly url: string }
  | { readonly kind: "socket"; readonly path: string };

/** How to reach a host, as options say it. */
export interface HostOptions {
  readonly host?: string;
  readonly socket?: string;
}

/** Names of the variables that stand in for options. */
export const hostVariables = Object.freeze({
  url: "CONNECT_PLUGIN_HOST_URL",
  socket: "CONNECT_PLUGIN_HOST_SOCKET",
  adminToken: "CONNECT_PLUGIN_HOST_ADMIN_TOKEN",
  joinToken: "CONNECT_PLUGIN_HOST_JOIN_TOKEN",
  ca: "CONNECT_PLUGIN_HOST_CA_FILE",
});

/** Options come before variables, a socket before a URL. @throws CliError `usage` */
export function hostAddress(options: HostOptions, { variables }: CliEnvironment): HostAddress {
  const { host, socket } = options;
  if (host !== undefined && socket !== undefined) {
    throw new CliError(exitCodes.usage, "--host and --socket name two hosts; give one of them");
  }
  if (socket !== undefined) return socketAddress("--socket", socket);
  if (host !== undefined) return urlAddress("--host", host);
  const socketVariable = variables[hostVariables.socket] ?? "";
  if (socketVariable !== "") return socketAddress(hostVariables.socket, socketVariable);
  const urlVariable = variables[hostVariables.url] ?? "";
  if (urlVariable !== "") return urlAddress(hostVariables.url, urlVariable);
  throw new CliError(exitCodes.usage, "which host? nothing says where it is", {
    hint: `give --host URL or --socket PATH, or set ${hostVariables.url} or ${hostVariables.socket}`,
  });
}

/** Authorities that a host's certificate may come from; undefined for those that Node trusts. @throws CliError `usage` */
export function readAuthorities(
  option: string | undefined,
  { variables, workingDirectory }: CliEnvironment,
): string | undefined {
  const file = option ?? variables[hostVariables.ca] ?? "";
  if (file === "") return undefined;
  const name = option === undefined ? hostVariables.ca : "--ca";
  try {
    return readFileSync(path.resolve(workingDirectory, file), "utf8");
  } catch (error) {
    throw new CliError(exitCodes.usage, `${name} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}

function socketAddress(name: string, text: string): HostAddress {
  const path = text.startsWith("unix:") ? text.slice(5) : text;
  if (path === "") throw new CliError(exitCodes.usage, `${name} must be the path of a Unix socket`);
  return { kind: "socket", path };
}

function urlAddress(name: string, text: string): HostAddress {
  if (text.startsWith("unix:")) return socketAddress(name, text);
  let url: URL | undefined;
  try {
    url = new URL(text);
  } catch {
    // A text that is no URL gets the same answer as a URL of another kind.
  }
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new CliError(
      exitCodes.usage,
      `${name} must be a URL, such as http://127.0.0.1:4000, got ${JSON.stringify(text)}`,
    );
  }
  if (url.username + url.password + url.search + url.hash !== "") {
    throw new CliError(exitCodes.usage, `${name} must be a URL without user, query and fragment`, {
      hint: `the token goes into --admin-token or ${hostVariables.adminToken}`,
    });
  }
  return { kind: "url", url: `${url.origin}${url.pathname.replace(/\/+$/, "")}` };
}

/** Whether paths of this machine mean the same to the host. */
export function isLocal(address: HostAddress): boolean {
  if (address.kind === "socket") return true;
  const name = new URL(address.url).hostname.replace(/^\[|\]$/g, "");
  return name === "localhost" || name === "::1" || (isIP(name) === 4 && name.startsWith("127."));
}

/** For people. */
export const addressText = (address: HostAddress): string =>
  address.kind === "url" ? address.url : `unix:${address.path}`;
