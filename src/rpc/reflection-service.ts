import { Code, type ServiceImpl } from "@connectrpc/connect";
import type {
  ServerReflectionRequest,
  ServerReflection as WireReflection,
} from "../gen/grpc/reflection/v1/reflection_pb.js";
import type {
  ServerReflectionRequest as AlphaRequest,
  ServerReflection as WireReflectionAlpha,
} from "../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { shown } from "../model/limits.js";
import type { DescriptorIndex } from "./descriptor-index.js";

/** What reflection looks at. */
export interface ReflectionPort {
  readonly index: () => DescriptorIndex;
  /** Aborted when the host stops: tools keep their streams open. */
  readonly stopped: AbortSignal;
}

/** `grpc.reflection.v1.ServerReflection`. Open to everybody. */
export const reflectionRpc = (port: ReflectionPort): ServiceImpl<typeof WireReflection> => ({
  async *serverReflectionInfo(requests) {
    for await (const request of untilStopped(requests, port.stopped)) yield answer(port.index(), request);
  },
});

/** `grpc.reflection.v1alpha.ServerReflection`, the same under its older name, which most tools still know. */
export const reflectionAlphaRpc = (port: ReflectionPort): ServiceImpl<typeof WireReflectionAlpha> => ({
  async *serverReflectionInfo(requests) {
    for await (const request of untilStopped(requests, port.stopped)) yield answer(port.index(), request);
  },
});

type Question = Pick<ServerReflectionRequest, "host"> & Pick<ServerReflectionRequest | AlphaRequest, "messageRequest">;

const answer = <Request extends Question>(index: DescriptorIndex, request: Request) => ({
  validHost: request.host,
  originalRequest: request,
  messageResponse: respond(index, request.messageRequest),
});

function respond(index: DescriptorIndex, question: Question["messageRequest"]) {
  switch (question.case) {
    case "listServices":
      return found("listServicesResponse", { service: index.services.map((name) => ({ name })) });
    case "fileByFilename":
      return files(index.file(question.value), `no file ${shown(question.value)}`);
    case "fileContainingSymbol":
      return files(index.fileOf(question.value), `nothing is called ${shown(question.value)}`);
    case "fileContainingExtension":
      return failed(Code.NotFound, "there are no extensions");
    case "allExtensionNumbersOfType":
      if (!index.hasMessage(question.value)) return failed(Code.NotFound, `no message ${shown(question.value)}`);
      return failed(Code.NotFound, `${question.value} has no extensions`);
    case undefined:
      return failed(Code.InvalidArgument, "message_request must be set");
  }
}

const found = <Case extends string, Value>(name: Case, value: Value) => ({ case: name, value });

const failed = (code: Code, errorMessage: string) => found("errorResponse" as const, { errorCode: code, errorMessage });

const files = (fileDescriptorProto: Uint8Array[] | undefined, otherwise: string) =>
  fileDescriptorProto === undefined
    ? failed(Code.NotFound, otherwise)
    : found("fileDescriptorResponse" as const, { fileDescriptorProto });

/** The messages of a stream until it ends or the host stops, whichever is first. */
async function* untilStopped<T>(messages: AsyncIterable<T>, stopped: AbortSignal): AsyncGenerator<T> {
  const iterator = messages[Symbol.asyncIterator]();
  let stop = (): void => {};
  const end = new Promise<IteratorResult<T>>((resolve) => {
    stop = () => resolve({ done: true, value: undefined });
  });
  if (stopped.aborted) stop();
  stopped.addEventListener("abort", stop, { once: true });
  try {
    for (;;) {
      const waiting = iterator.next();
      // Nobody may be left to hear that the caller went away.
      waiting.catch(() => {});
      const next = await Promise.race([waiting, end]);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    stopped.removeEventListener("abort", stop);
  }
}
