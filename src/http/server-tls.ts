import type { TlsOptions } from "node:tls";
import { invalid } from "../errors.js";
import { checkNumber } from "../model/limits.js";
import { checkObject } from "./check-object.js";
import { checkAuthorities, checkKeyPair, type KeyPair, type Pem } from "./tls-material.js";

/** A certificate for a port, and what goes with it. */
export interface ServerTlsOptions extends KeyPair {
  /** Oldest version of TLS that callers may speak. @default "TLSv1.2" */
  readonly minVersion?: "TLSv1.2" | "TLSv1.3";
  /**
   * Serves callers without TLS on the same port, too. Otherwise HTTP/1.1 without TLS gets 400, which says what to do, and
   * HTTP/2 without TLS is ended. @default false
   */
  readonly allowCleartext?: boolean;
  /** How long a handshake may take, in milliseconds, from the first byte on. @default 10_000 */
  readonly handshakeTimeoutMs?: number;
  /** Authorities for callers' certificates. With it callers have to show a certificate that one of them has signed. */
  readonly clientCa?: Pem | readonly Pem[];
  /** What becomes of callers without a certificate that `clientCa` accepts. @default "required" (the handshake fails) */
  readonly clientCertificates?: "required" | "optional";
  /**
   * The authority that the host's own certificate comes from, if it is a private one. Programs that the host launches get
   * it in the variable HOST_CA, so that they can check whom they call.
   */
  readonly ca?: Pem | readonly Pem[];
}

/** Checked options. */
export interface ResolvedServerTls {
  readonly keyPair: KeyPair;
  /** Everything of `tls.createServer` but the key pair. */
  readonly settings: Readonly<TlsOptions>;
  readonly allowCleartext: boolean;
  readonly handshakeTimeoutMs: number;
  /** PEM of the private authority; undefined if there is none. */
  readonly ca: string | undefined;
}

const names: readonly (keyof ServerTlsOptions)[] = [
  "cert",
  "key",
  "passphrase",
  "minVersion",
  "allowCleartext",
  "handshakeTimeoutMs",
  "clientCa",
  "clientCertificates",
  "ca",
];

/** @throws PluginHostError `INVALID_ARGUMENT` that names the option */
export function resolveServerTls(given: ServerTlsOptions, field = "tls"): ResolvedServerTls {
  checkObject(field, given, names);
  const { minVersion = "TLSv1.2", allowCleartext = false, clientCertificates = "required" } = given;
  checkChoice(`${field}.minVersion`, minVersion, ["TLSv1.2", "TLSv1.3"]);
  checkChoice(`${field}.clientCertificates`, clientCertificates, ["required", "optional"]);
  if (typeof allowCleartext !== "boolean")
    throw invalid(`${field}.allowCleartext`, `must be true or false, got ${JSON.stringify(allowCleartext)}`);
  if (given.clientCa === undefined && given.clientCertificates !== undefined)
    throw invalid(`${field}.clientCertificates`, "needs clientCa, which says whose certificates are accepted");
  const clients =
    given.clientCa === undefined
      ? {}
      : {
          ca: checkAuthorities(`${field}.clientCa`, given.clientCa),
          requestCert: true,
          rejectUnauthorized: clientCertificates === "required",
        };
  return Object.freeze({
    keyPair: checkKeyPair(field, given),
    settings: Object.freeze({ minVersion, ALPNProtocols: ["h2", "http/1.1"], ...clients }),
    allowCleartext,
    handshakeTimeoutMs: checkNumber(`${field}.handshakeTimeoutMs`, given.handshakeTimeoutMs ?? 10_000, 1, 2 ** 31 - 1),
    ca: given.ca === undefined ? undefined : checkAuthorities(`${field}.ca`, given.ca).join("\n"),
  });
}

function checkChoice(field: string, value: unknown, allowed: readonly string[]): void {
  if (allowed.includes(value as string)) return;
  throw invalid(field, `must be one of ${allowed.join(", ")}, got ${JSON.stringify(value)}`);
}
