import { type ConnectionOptions, createSecureContext } from "node:tls";
import { invalid } from "../errors.js";
import { checkObject } from "../http/check-object.js";
import { checkAuthorities, checkKeyPair, type KeyPair, type Pem } from "../http/tls-material.js";
import type { ProviderTls } from "../model/address.js";

/** How the host connects to providers whose address begins with `https:`. */
export interface UpstreamTlsOptions {
  /**
   * Authorities that providers' certificates may come from, instead of those that Node trusts. To trust both, give
   * Node's as well: `[...tls.rootCertificates, mine]`. @default what Node trusts
   */
  readonly ca?: Pem | readonly Pem[];
  /** The host's own certificate, for providers that ask for one. Needs `key`. @default none */
  readonly cert?: Pem;
  readonly key?: Pem;
  /** For a key that is encrypted. */
  readonly passphrase?: string;
  /**
   * The name that every provider's certificate has to be for, such as `plugins.internal`, where addresses are numbers or
   * change. @default the host name, or IP address, of the provider's address
   */
  readonly servername?: string;
}

const names: readonly (keyof UpstreamTlsOptions)[] = ["ca", "cert", "key", "passphrase", "servername"];

/** Certificates towards providers, read once and not for each connection. They can be replaced while calls go on. */
export class UpstreamTls implements ProviderTls {
  readonly #field: string;
  #connection: ConnectionOptions;

  /**
   * @param field what the options are called where they were given
   * @throws PluginHostError `INVALID_ARGUMENT` that names the option
   */
  constructor(given: UpstreamTlsOptions = {}, field = "router.tls") {
    this.#field = field;
    this.#connection = connectionOptions(given, field);
  }

  get connection(): ConnectionOptions {
    return this.#connection;
  }

  /** From now on these are used. @throws PluginHostError `INVALID_ARGUMENT` that names the option; nothing has changed then */
  replace(given: UpstreamTlsOptions): void {
    this.#connection = connectionOptions(given, this.#field);
  }
}

function connectionOptions(given: UpstreamTlsOptions, field: string): ConnectionOptions {
  checkObject(field, given, names);
  const { ca, cert, key, passphrase, servername } = given;
  if (servername !== undefined && (typeof servername !== "string" || !/^[A-Za-z0-9._-]+$/.test(servername)))
    throw invalid(`${field}.servername`, `must be a host name, got ${JSON.stringify(servername)}`);
  if (cert === undefined && (key !== undefined || passphrase !== undefined))
    throw invalid(`${field}.cert`, "is missing, and there is a key for it");
  // Whether the key is there is seen by the check of the pair.
  const pair = cert === undefined ? {} : checkKeyPair(field, { ...given, cert } as KeyPair);
  const authorities = ca === undefined ? {} : { ca: checkAuthorities(`${field}.ca`, ca) };
  const name = servername === undefined ? {} : { servername };
  // Without any of them Node makes a context of its own, once for all connections.
  if (ca === undefined && cert === undefined) return Object.freeze(name);
  try {
    return Object.freeze({ ...name, secureContext: createSecureContext({ ...authorities, ...pair } as never) });
  } catch (cause) {
    throw invalid(field, `is refused by OpenSSL: ${cause instanceof Error ? cause.message : cause}`, cause);
  }
}
