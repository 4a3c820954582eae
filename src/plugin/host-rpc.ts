import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import type { UniversalClientFn } from "@connectrpc/connect/protocol";
import { HandshakeService } from "../gen/connectplugin/v1/handshake_pb.js";
import { connectTransport, pathOf } from "../http/connect-client.js";
import { LinkCallTransport } from "../link/link-call-transport.js";
import type { HostConnection } from "./host-connection.js";

/**
 * A client of one of the host's own services. `headers` go with every call; with the identity in them calls go over the
 * link of that identity while there is one.
 */
export function hostClient<Desc extends DescService>(
  service: Desc,
  connection: HostConnection,
  headers: Readonly<Record<string, string>> = {},
): Client<Desc> {
  const send: UniversalClientFn = ({ url, header, ...request }) => {
    for (const [name, value] of Object.entries(headers)) header.set(name, value);
    const shape = header.get("content-type")?.startsWith("application/connect+") === true ? "streamed" : "whole";
    return connection.send({ ...request, header, path: pathOf(url), shape });
  };
  const overHttp = connectTransport(send);
  const runtimeId = headers["x-plugin-runtime-id"];
  // A handshake is about the credentials that it carries, and a link carries none.
  if (runtimeId === undefined || service.typeName === HandshakeService.typeName) return createClient(service, overHttp);
  const basePath = `/${service.typeName}`;
  const route = () => {
    const session = connection.linkOf(runtimeId);
    return session && { session, basePath };
  };
  return createClient(service, new LinkCallTransport({ route, connection: overHttp, interceptors: [] }));
}
