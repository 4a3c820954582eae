import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import { conformanceService, message } from "./schema.mjs";

const methods = conformanceService.method;
const requestInfoSchema = message("ConformancePayload.RequestInfo");

const headerList = (entries) => {
  const byName = new Map();
  for (const [name, value] of entries) byName.set(name, [...(byName.get(name) ?? []), value]);
  return [...byName].map(([name, value]) => ({ name, value }));
};

const appendAll = (target, headers) => {
  for (const { name, value } of headers) for (const one of value) target.append(name, one);
};

/** What the suite wants to know of the call: its headers, timeout, query and the messages read so far. */
const requestInfo = (context, schema, requests) =>
  create(requestInfoSchema, {
    requestHeaders: headerList(context.requestHeader),
    timeoutMs: context.timeoutMs() === undefined ? undefined : BigInt(Math.round(context.timeoutMs())),
    requests: requests.map((request) => anyPack(schema, request)),
    connectGetInfo:
      context.requestMethod === "GET" ? { queryParams: headerList(new URL(context.url).searchParams) } : undefined,
  });

const typeNameOf = (typeUrl) => typeUrl.slice(typeUrl.lastIndexOf("/") + 1);

const connectError = (error, info, metadata) => {
  const converted = new ConnectError(error.message ?? "", error.code, metadata);
  converted.details = error.details.map(({ typeUrl, value }) => ({ type: typeNameOf(typeUrl), value }));
  if (info) converted.details.push({ desc: requestInfoSchema, value: info });
  return converted;
};

/** The pause that the test case asks for; ends early with the call. */
const pause = async (ms, signal) => {
  if (ms === 0) return;
  await new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
  signal.throwIfAborted();
};

async function answerOnce(method, definition, requests, context) {
  const info = requestInfo(context, method.input, requests);
  if (definition) await pause(definition.responseDelayMs, context.signal);
  if (definition?.response.case === "error") {
    // A unary error has one set of metadata, for headers and trailers alike.
    const metadata = new Headers();
    appendAll(metadata, definition.responseHeaders);
    appendAll(metadata, definition.responseTrailers);
    throw connectError(definition.response.value, info, metadata);
  }
  if (definition) {
    appendAll(context.responseHeader, definition.responseHeaders);
    appendAll(context.responseTrailer, definition.responseTrailers);
  }
  const data = definition?.response.case === "responseData" ? definition.response.value : undefined;
  return create(method.output, { payload: { data, requestInfo: info } });
}

const announce = (definition, context) => {
  appendAll(context.responseHeader, definition.responseHeaders);
  appendAll(context.responseTrailer, definition.responseTrailers);
};

const failIfAsked = (definition, info) => {
  if (definition?.error) throw connectError(definition.error, info, undefined);
};

/** The service as the suite specifies it, for `createConnectRouter`. */
export const conformanceImplementation = {
  unary: (request, context) => answerOnce(methods.unary, request.responseDefinition, [request], context),

  idempotentUnary: (request, context) =>
    answerOnce(methods.idempotentUnary, request.responseDefinition, [request], context),

  async clientStream(stream, context) {
    const requests = [];
    for await (const request of stream) requests.push(request);
    return answerOnce(methods.clientStream, requests[0]?.responseDefinition, requests, context);
  },

  async *serverStream(request, context) {
    const definition = request.responseDefinition;
    if (!definition) return;
    announce(definition, context);
    const info = requestInfo(context, methods.serverStream.input, [request]);
    for (const [index, data] of definition.responseData.entries()) {
      await pause(definition.responseDelayMs, context.signal);
      const payload = index === 0 ? { data, requestInfo: info } : { data };
      yield create(methods.serverStream.output, { payload });
    }
    failIfAsked(definition, definition.responseData.length === 0 ? info : undefined);
  },

  async *bidiStream(stream, context) {
    const { input, output } = methods.bidiStream;
    let definition;
    let fullDuplex = false;
    let unanswered = [];
    let sent = 0;
    const next = async () => {
      await pause(definition.responseDelayMs, context.signal);
      const info = sent === 0 ? requestInfo(context, input, unanswered) : undefined;
      const packed = unanswered.map((request) => anyPack(input, request));
      const requestInfoNow = info ?? (packed.length > 0 ? { requests: packed } : undefined);
      unanswered = [];
      const data = definition.responseData[sent++];
      return create(output, { payload: { data, requestInfo: requestInfoNow } });
    };

    for await (const request of stream) {
      unanswered.push(request);
      if (!definition && request.responseDefinition) {
        definition = request.responseDefinition;
        fullDuplex = request.fullDuplex;
        announce(definition, context);
      }
      if (!fullDuplex) continue;
      if (sent >= definition.responseData.length) break;
      yield await next();
    }
    if (!definition) return;
    while (sent < definition.responseData.length) yield await next();
    failIfAsked(definition, sent === 0 ? requestInfo(context, input, unanswered) : undefined);
  },
};
