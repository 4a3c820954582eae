import { readFile } from "node:fs/promises";
import path from "node:path";
import type { KeyPair, ServerTlsOptions, UpstreamTlsOptions } from "../../index.js";
import { CliError } from "../cli-error.js";
import type { HostConfig } from "../config/config-schema.js";
import { exitCodes } from "../exit-codes.js";

/** The host's certificate and what goes with it, as names of files. */
export type TlsFiles = NonNullable<HostConfig["tls"]>;

/** The same with certificates and key read. @throws CliError `usage` that names the file */
export async function readServerTls(files: TlsFiles, folder: string): Promise<ServerTlsOptions> {
  const { cert, key, clientCa, ca, ...rest } = files;
  return {
    ...rest,
    ...(await readKeyPair(files, folder)),
    ...(clientCa === undefined ? undefined : { clientCa: await read("tls.clientCa", clientCa, folder) }),
    ...(ca === undefined ? undefined : { ca: await read("tls.ca", ca, folder) }),
  };
}

/** Certificate and key as they are now. @throws CliError `usage` that names the file */
export async function readKeyPair(files: TlsFiles, folder: string): Promise<KeyPair> {
  const [cert, key] = await Promise.all([read("tls.cert", files.cert, folder), read("tls.key", files.key, folder)]);
  return { cert, key, ...(files.passphrase === undefined ? undefined : { passphrase: files.passphrase }) };
}

/** What the host trusts and shows towards providers, as names of files. */
export type UpstreamTlsFiles = NonNullable<NonNullable<HostConfig["router"]>["tls"]>;

/** The files among them, by the name of their setting. */
export const pemFilesOf = ({ ca, cert, key }: UpstreamTlsFiles): [name: string, file: string][] =>
  Object.entries({ ca, cert, key }).filter((entry): entry is [string, string] => entry[1] !== undefined);

/** The same with files read. @throws CliError `usage` that names the file */
export async function readUpstreamTls(
  files: UpstreamTlsFiles,
  folder: string,
  field: string,
): Promise<UpstreamTlsOptions> {
  const { ca: _ca, cert: _cert, key: _key, ...rest } = files;
  const texts = pemFilesOf(files).map(
    async ([name, file]) => [name, await read(`${field}.${name}`, file, folder)] as const,
  );
  return { ...rest, ...Object.fromEntries(await Promise.all(texts)) };
}

async function read(name: string, file: string, folder: string): Promise<string> {
  try {
    return await readFile(path.resolve(folder, file), "utf8");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CliError(exitCodes.usage, `${name} cannot be read: ${why}`);
  }
}
