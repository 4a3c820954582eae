import { Code, ConnectError } from "@connectrpc/connect";
import type { UniversalClientResponse } from "@connectrpc/connect/protocol";
import { type ClientCall, HttpClient } from "../http/http-client.js";
import { httpCallOverLink } from "../link/http-call-over-link.js";
import type { LinkSession } from "../link/link-session.js";
import type { HostAddress } from "./host-address.js";

/** A call to a path of the host. */
export type HostRequest = ClientCall;

/** A link that takes calls. */
export interface OpenLink {
  readonly session: LinkSession;
  /** As whom it was opened. */
  readonly runtimeId: string;
}

/** The connections of one plugin to its host. */
export class HostConnection extends HttpClient {
  /** The link, while there is one. */
  link: OpenLink | undefined;

  constructor(readonly address: HostAddress) {
    super(address);
  }

  /** The link of an identity, if it takes calls now. */
  linkOf(runtimeId: string): LinkSession | undefined {
    const { link } = this;
    const { held } = this.address;
    // The host knows whose it is.
    if (held !== undefined) return held.session?.state === "open" ? held.session : undefined;
    return link?.runtimeId === runtimeId && link.session.state === "open" ? link.session : undefined;
  }

  override send(request: HostRequest): Promise<UniversalClientResponse> {
    const { held } = this.address;
    if (held === undefined) return super.send(request);
    if (held.session !== undefined) return httpCallOverLink(held.session, request);
    return Promise.reject(new ConnectError("the link to the host is not open yet", Code.Unavailable));
  }
}
