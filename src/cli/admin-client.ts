import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { PlatformService } from "../gen/connectplugin/admin/v1/platform_pb.js";
import type { HostAddress } from "./host-address.js";

/** A client of a running host's admin service. */
export type AdminClient = Client<typeof PlatformService>;

/** Opens nothing yet: connections are made for calls. */
export function adminClient(address: HostAddress, token: string | undefined): AdminClient {
  const transport = createConnectTransport({
    httpVersion: "1.1",
    baseUrl: address.kind === "url" ? address.url : "http://localhost",
    ...(address.kind === "socket" ? { nodeOptions: { socketPath: address.path } } : undefined),
    interceptors: [
      (next) => (request) => {
        if (token !== undefined) request.header.set("authorization", `Bearer ${token}`);
        return next(request);
      },
    ],
  });
  return createClient(PlatformService, transport);
}
