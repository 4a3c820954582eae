import { fileURLToPath } from "node:url";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { deferred } from "../../src/internal/deferred.js";

const proto = fileURLToPath(new URL("./proto/echo/v1/echo.proto", import.meta.url));
const loaded = grpc.loadPackageDefinition(loadSync(proto)) as unknown as {
  readonly echo: { readonly v1: { readonly Echo: grpc.ServiceClientConstructor } };
};
const Echo = loaded.echo.v1.Echo;

/** The methods of an echo client that grpc-js makes. */
export interface GrpcEcho extends grpc.Client {
  say(message: object, metadata: grpc.Metadata, options: grpc.CallOptions, done: Done): grpc.ClientUnaryCall;
  serverStream(message: object, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<Texts>;
  clientStream(metadata: grpc.Metadata, options: grpc.CallOptions, done: Done): grpc.ClientWritableStream<Texts>;
  bidiStream(metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientDuplexStream<Texts, Texts>;
}

/** Any message of the echo service; what is not in the message is undefined. */
export interface Texts {
  readonly text?: string | undefined;
  readonly provider?: string;
  readonly index?: number;
  readonly count?: number;
}

type Done = (error: grpc.ServiceError | null, answer?: Texts) => void;

/** A caller of `host:port` that is not Connect's. */
export const grpcEcho = (authority: string): GrpcEcho =>
  new Echo(authority, grpc.credentials.createInsecure()) as unknown as GrpcEcho;

/** Metadata of plain texts. */
export const metadataOf = (fields: Readonly<Record<string, string>>): grpc.Metadata => {
  const metadata = new grpc.Metadata();
  for (const [name, value] of Object.entries(fields)) metadata.set(name, value);
  return metadata;
};

/** What a call brought beside its answer. */
export interface CallResult {
  readonly answers: Texts[];
  readonly head: grpc.Metadata | undefined;
  readonly status: grpc.StatusObject;
}

/** Collects a call of any kind to its end, whatever that is. */
export function resultOf(
  call: grpc.ClientUnaryCall | grpc.ClientReadableStream<Texts> | grpc.ClientWritableStream<Texts>,
  answers: Texts[] = [],
): Promise<CallResult> {
  const result = deferred<CallResult>();
  let head: grpc.Metadata | undefined;
  const emitter = call as grpc.ClientReadableStream<Texts>;
  emitter.on("metadata", (metadata) => {
    head = metadata;
  });
  emitter.on("error", () => {});
  emitter.on("status", (status) => result.resolve({ answers, head, status }));
  if ("read" in call) emitter.on("data", (answer: Texts) => answers.push(answer));
  return result.promise;
}

/** An echo server of grpc-js, which speaks HTTP/2 cleartext only. */
export interface GrpcProvider extends AsyncDisposable {
  readonly url: string;
  /** Metadata of the calls so far. */
  readonly seen: grpc.Metadata[];
  /** Resolves with the time left, in milliseconds, when a call `hang` has come. */
  readonly hanging: Promise<number>;
  /** Resolves when that call was cancelled. */
  readonly cancelled: Promise<void>;
}

/** A text `fail` fails with metadata, `hang` never answers; any other is sent back. */
export async function startGrpcProvider(): Promise<GrpcProvider> {
  const server = new grpc.Server();
  const seen: grpc.Metadata[] = [];
  const hanging = deferred<number>();
  const cancelled = deferred();
  const begin = (call: grpc.ServerUnaryCall<Texts, Texts> | grpc.ServerDuplexStream<Texts, Texts>): void => {
    seen.push(call.metadata);
    call.sendMetadata(metadataOf({ "x-head": "h" }));
  };
  const failure = {
    code: grpc.status.ALREADY_EXISTS,
    details: "as asked: äöü",
    metadata: metadataOf({ "x-tail": "of an error" }),
  };
  const hang = (call: grpc.ServerUnaryCall<Texts, Texts>): void => {
    hanging.resolve(Number(call.getDeadline()) - Date.now());
    call.on("cancelled", () => cancelled.resolve());
  };
  server.addService(Echo.service, {
    say(call: grpc.ServerUnaryCall<Texts, Texts>, done: grpc.sendUnaryData<Texts>) {
      begin(call);
      const { text } = call.request;
      if (text === "hang") return hang(call);
      if (text === "fail") return done(failure);
      done(null, { text: text ?? "", provider: "grpc-js" }, metadataOf({ "x-tail": "t" }));
    },
    serverStream(call: grpc.ServerWritableStream<Texts, Texts>) {
      begin(call as never);
      const { text, count = 0 } = call.request;
      for (let index = 0; index < count; index++) call.write({ text, index });
      if (text === "fail") call.emit("error", failure);
      else call.end(metadataOf({ "x-tail": "t" }));
    },
    clientStream(call: grpc.ServerReadableStream<Texts, Texts>, done: grpc.sendUnaryData<Texts>) {
      begin(call as never);
      const texts: string[] = [];
      call.on("data", ({ text }: Texts) => texts.push(text ?? ""));
      call.on("end", () => done(null, { text: texts.join(""), count: texts.length }, metadataOf({ "x-tail": "t" })));
    },
    bidiStream(call: grpc.ServerDuplexStream<Texts, Texts>) {
      begin(call);
      call.on("data", ({ text }: Texts) => call.write({ text }));
      call.on("end", () => call.end(metadataOf({ "x-tail": "t" })));
    },
  } as unknown as grpc.UntypedServiceImplementation);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return {
    url: `http://127.0.0.1:${port}`,
    seen,
    hanging: hanging.promise,
    cancelled: cancelled.promise,
    [Symbol.asyncDispose]: async () => server.forceShutdown(),
  };
}
