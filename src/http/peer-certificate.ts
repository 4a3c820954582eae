import type { PeerCertificate } from "node:tls";
import { createContextKey } from "@connectrpc/connect";

/** Who a caller is by the certificate that it has shown, which an authority that the server trusts has signed. */
export interface PeerIdentity {
  /**
   * Its names: those of `subjectAltName` (`DNS:name`, `URI:name`, `IP Address:address`), and behind them the subject's common name as
   * `CN:name`.
   */
  readonly names: readonly string[];
  /** SHA-256 of the certificate: 64 hexadecimal digits in lower case. */
  readonly fingerprint: string;
}

/** Where a call's context has the caller's certificate; undefined without one that was checked. */
export const peerIdentity = createContextKey<PeerIdentity | undefined>(undefined, {
  description: "the certificate of the caller",
});

/** Something that may be a TLS socket. */
export interface MaybeSecureSocket {
  readonly authorized?: boolean;
  getPeerCertificate?(): PeerCertificate;
}

/** The identity in a socket's certificate; undefined if there is none, or nobody that counts has signed it. */
export function certificateOf(socket: MaybeSecureSocket): PeerIdentity | undefined {
  if (socket.authorized !== true || socket.getPeerCertificate === undefined) return undefined;
  const { subject, subjectaltname, fingerprint256 } = socket.getPeerCertificate();
  if (fingerprint256 === undefined) return undefined;
  const commonNames = [subject?.CN ?? []].flat().map((name) => `CN:${name}`);
  const fingerprint = fingerprint256.replaceAll(":", "").toLowerCase();
  return Object.freeze({ names: Object.freeze([...splitNames(subjectaltname ?? ""), ...commonNames]), fingerprint });
}

// Node writes a name that has a comma in it as a JSON string, so that no name can pass for two.
const nameInList = /([A-Za-z0-9 .]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/g;

function splitNames(list: string): string[] {
  return [...list.matchAll(nameInList)].map(([, kind = "", value = ""]) => {
    if (!value.startsWith('"')) return `${kind}:${value}`;
    try {
      return `${kind}:${String(JSON.parse(value))}`;
    } catch {
      return `${kind}:${value}`;
    }
  });
}
