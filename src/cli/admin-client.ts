import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { PlatformService } from "../gen/connectplugin/admin/v1/platform_pb.js";
import type { HostAddress } from "./host-address.js";

/** A client of a running host's admin service. */
export type AdminClient = Client<typeof PlatformService>;

/** With what a host is called. */
export interface AdminCredentials {
  readonly token: string | undefined;
  /** PEM of the authorities that its certificate may come from; undefined for those that Node trusts. */
  readonly ca: string | undefined;
}

/** Opens nothing yet: connections are made for calls. */
export function adminClient(address: HostAddress, { token, ca }: AdminCredentials): AdminClient {
  const transport = createConnectTransport({
    httpVersion: "1.1",
    baseUrl: address.kind === "url" ? address.url : "http://localhost",
    ...(address.kind === "socket" ? { nodeOptions: { socketPath: address.path } } : undefined),
    ...(address.kind === "url" && ca !== undefined ? { nodeOptions: { ca } } : undefined),
    interceptors: [
      (next) => (request) => {
        if (token !== undefined) request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
    ],
  });
  return createClient(PlatformService, transport);
}
