import type { DescService } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import type { UniversalClientFn } from "@connectrpc/connect/protocol";
import { invalid } from "../errors.js";
import { callShapes, connectTransport, endStreamsWithReader, pathOf } from "../http/connect-client.js";
import { InProcessTransport } from "../link/in-process-transport.js";
import { LinkCallTransport } from "../link/link-call-transport.js";
import type { DependencyCalls, DependencyRequest } from "./dependency-calls.js";
import { throughHost } from "./interceptors/through-host.js";
import type { ResolvedDependency } from "./resolve-definition.js";

/** The typed client of one service type. */
export function dependencyClient<Desc extends DescService>(
  service: Desc,
  dependency: ResolvedDependency,
  calls: DependencyCalls,
  interceptors: readonly Interceptor[],
): Client<Desc> {
  return endStreamsWithReader(
    service,
    createClient(service, dependencyTransport(service, dependency, calls, interceptors)),
  );
}

/** Carries calls to one service type, in the short form `<endpoint>/<Method>`. */
export function dependencyTransport(
  service: DescService,
  dependency: ResolvedDependency,
  calls: DependencyCalls,
  given: readonly Interceptor[],
): Transport {
  const shapeOf = new Map(service.methods.map((method) => [method.name, callShapes[method.methodKind]]));
  const send: UniversalClientFn = ({ url, ...request }) => {
    // `/pkg.Service/Method?query` becomes `/Method?query`.
    const path = pathOf(url).slice(service.typeName.length + 1);
    const name = path.slice(1).split("?", 1)[0] ?? "";
    return calls.send(dependency, { ...request, path, shape: shapeOf.get(name) ?? "whole" });
  };
  const connection = connectTransport(send);
  // Without interceptors nobody would look, and calls take a shorter way.
  const interceptors = given.length === 0 ? given : [throughHost, ...given];
  const { type } = dependency;
  return calls.isInProcess
    ? new InProcessTransport({ route: () => calls.route(type), connection, interceptors })
    : new LinkCallTransport({
        route: () => calls.linkRoute(type),
        connection,
        interceptors,
        onError: calls.onLinkError,
      });
}

/** Sends any HTTP request to a dependency. Rejects with a ConnectError if the host cannot be reached. */
export async function dependencyFetch(
  dependency: ResolvedDependency,
  calls: DependencyCalls,
  path: string,
  init?: RequestInit,
): Promise<Response> {
  if (!path.startsWith("/")) throw invalid("path", `must begin with "/", got ${JSON.stringify(path)}`);
  // Let the platform's own Request read all the forms that a body and headers may have.
  const request = new Request(new URL(`http://host.invalid${path}`), init);
  const { body, method, headers, signal } = request;
  const call: DependencyRequest = {
    path,
    method,
    header: new Headers(headers),
    signal,
    shape: body === null || isReplayable(init?.body) ? "whole" : "streamed",
    ...(body !== null && { body: body as unknown as AsyncIterable<Uint8Array> }),
  };
  const answer = await calls.send(dependency, call, true);
  const noBody = method === "HEAD" || [204, 205, 304].includes(answer.status);
  if (answer.status < 200)
    throw new ConnectError(`the dependency answered with status ${answer.status}`, Code.Internal);
  const bytes = noBody ? null : ReadableStream.from(answer.body);
  return new Response(bytes, { status: answer.status, headers: answer.header });
}

/** Whether the body is there as a whole, so that its length can be sent, and it can be sent again. */
export const isReplayable = (body: RequestInit["body"] | undefined): boolean =>
  typeof body === "string" ||
  body instanceof ArrayBuffer ||
  ArrayBuffer.isView(body) ||
  body instanceof URLSearchParams;
