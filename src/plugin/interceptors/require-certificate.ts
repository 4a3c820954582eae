import type { IncomingMessage } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import type { PeerCertificate } from "node:tls";
import { Code, ConnectError, type ContextValues, createContextValues, type Interceptor } from "@connectrpc/connect";
import { invalid } from "../../errors.js";
import { checkObject } from "../../http/check-object.js";
import { certificateOf, type PeerIdentity, peerIdentity } from "../../http/peer-certificate.js";

/** Options of {@link requireCertificate}. */
export interface RequireCertificateOptions {
  /**
   * Who may call: names as the certificate has them (`DNS:name`, `URI:name`, `IP Address:address` or `CN:name`), SHA-256 fingerprints as
   * `sha256:<hex>`, or a function that decides.
   */
  readonly allow: readonly string[] | ((peer: PeerIdentity) => boolean | Promise<boolean>);
}

/**
 * For a server with TLS that asks its callers for certificates (`clientCa`): refuses a caller without a certificate that was
 * checked as `unauthenticated`, and one who is not on the list as `permission_denied`. Implementations find the caller as
 * `context.values.get(peerIdentity)`.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names the option
 */
export function requireCertificate(options: RequireCertificateOptions): Interceptor {
  checkObject("requireCertificate", options, ["allow"]);
  const { allow } = options;
  const isAllowed = typeof allow === "function" ? allow : onList(allow);
  return (next) => async (request) => {
    const peer = request.contextValues.get(peerIdentity);
    if (peer === undefined) throw new ConnectError("a certificate of the caller is needed", Code.Unauthenticated);
    if (!(await isAllowed(peer))) {
      throw new ConnectError(`${peer.names[0] ?? "the caller"} may not call here`, Code.PermissionDenied);
    }
    return next(request);
  };
}

const entry = /^(?:(?:DNS|URI|IP Address|CN):.+|sha256:[0-9a-f]{64})$/;

function onList(given: readonly string[]): (peer: PeerIdentity) => boolean {
  if (!Array.isArray(given) || given.length === 0) throw invalid("allow", "must name somebody, or be a function");
  for (const [index, one] of given.entries()) {
    if (entry.test(one)) continue;
    const forms = "DNS:name, URI:name, IP Address:address, CN:name or sha256:<64 hex digits>";
    throw invalid(`allow[${index}]`, `must be ${forms}, got ${JSON.stringify(one)}`);
  }
  const allowed = new Set(given);
  return ({ names, fingerprint }) => names.some((name) => allowed.has(name)) || allowed.has(`sha256:${fingerprint}`);
}

/**
 * The context values for a request on a Node server of your own, as `contextValues` of `connectNodeAdapter`, so that
 * {@link requireCertificate} works there. In plugins nothing is needed.
 */
export function certificateValues(request: IncomingMessage | Http2ServerRequest): ContextValues {
  const socket = request.socket as { readonly authorized?: boolean; getPeerCertificate?(): PeerCertificate };
  return createContextValues().set(peerIdentity, certificateOf(socket));
}
