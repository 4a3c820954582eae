import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import type { UniversalClientFn } from "@connectrpc/connect/protocol";
import { createTransport } from "@connectrpc/connect/protocol-connect";
import { compressions } from "../http/compression.js";
import type { HostConnection } from "./host-connection.js";

// Never dialled: only the path after it is used.
const nowhere = "http://host.invalid";
const largestMessageBytes = 0xffffffff;

/** A Connect transport, binary, compressed answers accepted, over any way to send requests. */
export const connectTransport = (httpClient: UniversalClientFn, interceptors: readonly Interceptor[] = []): Transport =>
  createTransport({
    httpClient,
    baseUrl: nowhere,
    useBinaryFormat: true,
    interceptors: [...interceptors],
    acceptCompression: [...compressions],
    sendCompression: null,
    compressMinBytes: 1024,
    readMaxBytes: largestMessageBytes,
    writeMaxBytes: largestMessageBytes,
  });

/** Path and query of a request made by {@link connectTransport}. */
export const pathOf = (url: string): string => url.slice(nowhere.length);

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
