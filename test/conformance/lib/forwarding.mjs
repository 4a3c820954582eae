import { anyPack, anyUnpack } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import { message, registry } from "./schema.mjs";

// Those of one exchange, and of one protocol.
const own =
  /^(?:content-|connect-|grpc-|accept-encoding$|te$|host$|user-agent$|connection$|transfer-encoding$|trailer$|via$)/;
const requestInfoSchema = message("ConformancePayload.RequestInfo");

const passed = (headers) => new Headers([...headers].filter(([name]) => !own.test(name)));

/** The suite's service, answered by `client`, whatever way its calls take. */
export function forwardingImplementation(client) {
  const forward = (context) => {
    const header = new Headers();
    return {
      options: {
        headers: passed(context.requestHeader),
        signal: context.signal,
        timeoutMs: context.timeoutMs(),
        onHeader(given) {
          for (const [name, value] of passed(given)) {
            header.set(name, value);
            context.responseHeader.set(name, value);
          }
        },
        onTrailer(given) {
          for (const [name, value] of passed(given)) context.responseTrailer.set(name, value);
        },
      },
      /** The error for the caller in front. What went out as a field already is no metadata of it any more. */
      fail(thrown) {
        const error = ConnectError.from(thrown);
        const metadata = new Headers([...passed(error.metadata)].filter(([name]) => !header.has(name)));
        const told = new ConnectError(error.rawMessage, error.code, metadata);
        told.details = error.details.map((detail) => withQuery(detail, context));
        throw told;
      },
    };
  };
  const once = (method) => async (request, context) => {
    const { options, fail } = forward(context);
    const answer = await client[method](request, options).catch(fail);
    if (context.requestMethod === "GET") answer.payload.requestInfo.connectGetInfo = queryOf(context);
    return answer;
  };
  const many = (method) =>
    async function* (request, context) {
      const { options, fail } = forward(context);
      try {
        yield* client[method](request, options);
      } catch (error) {
        fail(error);
      }
    };
  return {
    unary: once("unary"),
    idempotentUnary: once("idempotentUnary"),
    clientStream: once("clientStream"),
    serverStream: many("serverStream"),
    bidiStream: many("bidiStream"),
  };
}

/** A call between plugins has no query; what the suite wants to know of it is known in front. */
function queryOf(context) {
  const params = new Map();
  for (const [name, value] of new URL(context.url).searchParams) params.set(name, [...(params.get(name) ?? []), value]);
  const queryParams = [...params].map(([name, value]) => ({
    $typeName: "connectrpc.conformance.v1.Header",
    name,
    value,
  }));
  return { $typeName: "connectrpc.conformance.v1.ConformancePayload.ConnectGetInfo", queryParams };
}

function withQuery(detail, context) {
  if (context.requestMethod !== "GET" || detail.type !== requestInfoSchema.typeName) return detail;
  const info = anyUnpack({ typeUrl: `/${detail.type}`, value: detail.value }, registry);
  info.connectGetInfo = queryOf(context);
  return { type: detail.type, value: anyPack(requestInfoSchema, info).value };
}
