import type { UpstreamFailure } from "./upstream.js";

const distrusted = /^(UNABLE_TO_(GET|VERIFY)_|SELF_SIGNED_CERT|DEPTH_ZERO_SELF_SIGNED|CERT_UNTRUSTED|INVALID_CA)/;
const otherCertificate = /^(CERT_|CRL_|HOSTNAME_MISMATCH|ERROR_IN_CERT|INVALID_PURPOSE|PATH_LENGTH)/;
const wantsCertificate = /ALERT_(CERTIFICATE_|BAD_CERTIFICATE|UNKNOWN_CA|UNSUPPORTED_CERTIFICATE|ACCESS_DENIED)/;
const noTls = /WRONG_VERSION_NUMBER|UNKNOWN_PROTOCOL|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST/;

/**
 * What it means that a connection to a provider did not come about, in words that say what to do. Where the two sides do not
 * trust each other, dialling again changes nothing.
 */
export function dialFailure(error: Error): UpstreamFailure {
  // Offered HTTP/1.1, a server that has ALPN and not that protocol ends the handshake (RFC 7301, 3.2).
  if (/ALERT_NO_APPLICATION_PROTOCOL/.test(opensslText(error))) {
    return { kind: "speaks-http2", message: "it does not speak HTTP/1.1 over TLS" };
  }
  const trouble = tlsTrouble(error);
  return trouble === undefined
    ? { kind: "unreachable", message: error.message }
    : { kind: "untrusted", message: trouble };
}

/**
 * What is wrong between the two sides of a TLS connection; undefined if an error is not about that. A provider that does not
 * accept the host's certificate may say so only when the first call is on its way.
 */
export function tlsTrouble(error: Error): string | undefined {
  const code = codeOf(error);
  const trouble = explain(code, error);
  return trouble === undefined ? undefined : `${trouble} (${code})`;
}

/**
 * What OpenSSL says, as it is in the code of an error; empty if it does not come from there. Errors of writing have the code
 * of the socket, and the rest in the message.
 */
function opensslText(error: Error): string {
  const code = codeOf(error);
  if (code !== "EPROTO") return code.startsWith("ERR_SSL_") ? code : "";
  return error.message.toUpperCase().replaceAll(" ", "_");
}

const codeOf = (error: Error): string => ("code" in error && typeof error.code === "string" ? error.code : "");

function explain(code: string, error: Error): string | undefined {
  if (distrusted.test(code))
    return "its certificate comes from an authority that this host does not trust; the router's option tls.ca names authorities";
  if (code === "CERT_HAS_EXPIRED") return "its certificate has expired";
  if (code === "CERT_NOT_YET_VALID") return "its certificate is not valid yet";
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    const { reason = error.message } = error as { readonly reason?: string };
    return `its certificate is for another name: ${reason} the router's option tls.servername names the one to expect`;
  }
  const openssl = opensslText(error);
  if (wantsCertificate.test(openssl))
    return "it does not accept the certificate of this host, or got none; the router's options tls.cert and tls.key name it";
  if (otherCertificate.test(code)) return `its certificate is not accepted: ${error.message}`;
  if (noTls.test(openssl)) return "it does not speak TLS there, and its address begins with https:";
  if (/^ERR_(SSL|TLS)_/.test(code)) return `TLS failed: ${error.message}`;
  return undefined;
}
