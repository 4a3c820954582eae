import { createPrivateKey, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { invalid } from "../errors.js";

/** PEM text, as it stands in files. A text may hold several certificates, one after the other. */
export type Pem = string | Uint8Array;

/** A certificate with its private key. */
export interface KeyPair {
  /** The certificate, and behind it those of the authorities between it and the root. */
  readonly cert: Pem;
  readonly key: Pem;
  /** For a key that is encrypted. */
  readonly passphrase?: string;
}

const block = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** The text of a PEM. @throws PluginHostError `INVALID_ARGUMENT` that names `field`; it never shows what was given */
function pemText(field: string, given: unknown): string {
  const text = given instanceof Uint8Array ? Buffer.from(given).toString("latin1") : given;
  if (typeof text === "string" && text.includes("-----BEGIN ")) return text;
  const got = typeof text === "string" ? "a text without one" : given === null ? "null" : typeof given;
  throw invalid(field, `must be PEM text (-----BEGIN ...), not the path of a file; got ${got}`);
}

/** All certificates in a text, the first one first. @throws PluginHostError `INVALID_ARGUMENT` that names `field` */
function readCertificates(field: string, given: unknown): readonly X509Certificate[] {
  const blocks = pemText(field, given).match(block) ?? [];
  if (blocks.length === 0) throw invalid(field, "holds no certificate (-----BEGIN CERTIFICATE-----)");
  return blocks.map((text, index) => {
    try {
      return new X509Certificate(text);
    } catch (cause) {
      throw invalid(field, `has a certificate that cannot be read, number ${index + 1}: ${messageOf(cause)}`, cause);
    }
  });
}

/**
 * Checks that certificate and key can be read and belong together. A certificate that has expired passes: whether one is
 * good is for those to say who are shown it.
 *
 * @returns a copy in texts
 * @throws PluginHostError `INVALID_ARGUMENT` that names `<field>.cert`, `<field>.key` or `<field>.passphrase`
 */
export function checkKeyPair(field: string, given: KeyPair): KeyPair {
  if (typeof given !== "object" || given === null) throw invalid(field, "must be an object with cert and key");
  const { passphrase } = given;
  if (passphrase !== undefined && typeof passphrase !== "string")
    throw invalid(`${field}.passphrase`, `must be a string, got ${typeof passphrase}`);
  const [certificate] = readCertificates(`${field}.cert`, given.cert);
  const key = pemText(`${field}.key`, given.key);
  let isPair: boolean | undefined;
  try {
    isPair = certificate?.checkPrivateKey(createPrivateKey(passphrase === undefined ? { key } : { key, passphrase }));
  } catch (cause) {
    throw invalid(`${field}.key`, `cannot be read: ${messageOf(cause)}`, cause);
  }
  if (isPair !== true) throw invalid(`${field}.key`, "is not the key of the certificate in cert");
  return Object.freeze({
    cert: pemText(`${field}.cert`, given.cert),
    key,
    ...(passphrase === undefined ? undefined : { passphrase }),
  });
}

/**
 * Checks the certificates of authorities, one PEM or several.
 *
 * @returns their texts
 * @throws PluginHostError `INVALID_ARGUMENT` that names `field`
 */
export function checkAuthorities(field: string, given: Pem | readonly Pem[]): string[] {
  const list: readonly unknown[] = Array.isArray(given) ? given : [given];
  if (list.length === 0) throw invalid(field, "must hold at least one certificate");
  return list.map((one, index) => {
    const name = list.length === 1 ? field : `${field}[${index}]`;
    readCertificates(name, one);
    return pemText(name, one);
  });
}

/**
 * What callers of `url` will not like about a certificate, at a time in milliseconds since 1970; undefined if that is
 * nothing that can be known here. Which authorities they trust cannot.
 */
export function certificateDoubt(cert: Pem, url: string, now: number): string | undefined {
  const { protocol, hostname } = new URL(url);
  if (protocol !== "https:") return undefined;
  const [certificate] = readCertificates("cert", cert);
  if (certificate === undefined) return undefined;
  const name = hostname.replace(/^\[|\]$/g, "");
  const fits = isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name);
  if (fits === undefined) {
    const names = certificate.subjectAltName ?? "no name";
    return `the certificate is for ${names}, and not for ${name}, under which this host hands itself out; set publicUrl`;
  }
  if (Date.parse(certificate.validTo) < now) return `the certificate was good until ${certificate.validTo}`;
  if (Date.parse(certificate.validFrom) > now) return `the certificate is good from ${certificate.validFrom} on`;
  return undefined;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
