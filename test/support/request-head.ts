import type { ConnectionInfo, RequestHead } from "../../src/http/exchange.js";

/** A request's head for tests: over TCP from loopback, to `127.0.0.1:4000`, unless told otherwise. */
export function requestHead(
  given: Partial<Pick<RequestHead, "method" | "target" | "authority">> & {
    readonly headers?: Readonly<Record<string, string>>;
    readonly connection?: Partial<ConnectionInfo>;
  } = {},
): RequestHead {
  const { method = "POST", target = "/", authority = "127.0.0.1:4000", headers = {}, connection } = given;
  return {
    method,
    target,
    authority,
    httpVersion: "1.1",
    fields: Object.entries(headers).flat(),
    header: (name) => headers[name],
    connection: {
      transport: "tcp",
      remoteAddress: "127.0.0.1",
      encrypted: false,
      principal: undefined,
      ...connection,
    },
  };
}
