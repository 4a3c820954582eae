import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import type { UniversalClientFn } from "@connectrpc/connect/protocol";
import { connectTransport, pathOf } from "../http/connect-client.js";
import type { HostConnection } from "./host-connection.js";

/**
 * A client of one of the host's own services. `headers` go with every call.
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
  return createClient(service, connectTransport(send));
}
