import { fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import {
  ServerReflection,
  type ServerReflectionRequest,
  type ServerReflectionResponse,
} from "../../src/gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "../../src/gen/grpc/reflection/v1alpha/reflection_pb.js";
import { deferred } from "../../src/internal/deferred.js";
import { ContractHost } from "../support/contract-host.js";

type Question = ServerReflectionRequest["messageRequest"];

async function* each<T>(values: readonly T[]) {
  yield* values;
}

async function ask(host: ContractHost, ...questions: Question[]): Promise<ServerReflectionResponse[]> {
  const { serverReflectionInfo } = host.client(ServerReflection, { protocol: "gRPC" });
  const requests = each(questions.map((messageRequest, index) => ({ host: `h${index}`, messageRequest })));
  return collect(serverReflectionInfo(requests));
}

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of stream) all.push(one);
  return all;
}

const errorOf = ({ messageResponse }: ServerReflectionResponse) =>
  messageResponse.case === "errorResponse" ? (messageResponse.value.errorCode as Code) : messageResponse.case;

describe("reflection", () => {
  test("answers each question of a stream in order, errors among them, with the question", async () => {
    await using host = await ContractHost.start();

    const answers = await ask(
      host,
      { case: "listServices", value: "" },
      { case: "fileByFilename", value: "connectplugin/v1/broker.proto" },
      { case: "fileByFilename", value: "nothing.proto" },
      { case: "fileContainingSymbol", value: "connectplugin.v1.CapabilityGrant" },
      { case: "fileContainingSymbol", value: "connectplugin.v1.CapabilityGrant.nothing" },
      { case: "allExtensionNumbersOfType", value: "connectplugin.v1.CapabilityGrant" },
      { case: "allExtensionNumbersOfType", value: "nothing" },
      {
        case: "fileContainingExtension",
        value: {
          $typeName: "grpc.reflection.v1.ExtensionRequest",
          containingType: "connectplugin.v1.CapabilityGrant",
          extensionNumber: 100,
        },
      },
      { case: undefined },
    );

    expect(answers.map(errorOf)).toEqual([
      "listServicesResponse",
      "fileDescriptorResponse",
      Code.NotFound,
      "fileDescriptorResponse",
      Code.NotFound,
      Code.NotFound,
      Code.NotFound,
      Code.NotFound,
      Code.InvalidArgument,
    ]);
    expect(answers.map(({ validHost }) => validHost)).toEqual(answers.map((_, index) => `h${index}`));
    expect(answers[2]?.originalRequest?.messageRequest).toEqual({ case: "fileByFilename", value: "nothing.proto" });
  });

  test("sends files that say what is served", async () => {
    await using host = await ContractHost.start();

    const [answer] = await ask(host, { case: "fileContainingSymbol", value: "connectplugin.v1.CapabilityBroker" });

    if (answer?.messageResponse.case !== "fileDescriptorResponse") throw new Error("no file");
    const [file] = answer.messageResponse.value.fileDescriptorProto.map((bytes) =>
      fromBinary(FileDescriptorProtoSchema, bytes),
    );
    expect(file).toMatchObject({ name: "connectplugin/v1/broker.proto", package: "connectplugin.v1" });
    expect(file?.service[0]?.method.map(({ name, inputType }) => [name, inputType])).toEqual([
      ["RequestCapability", ".connectplugin.v1.RequestCapabilityRequest"],
    ]);
  });

  test("has its older name, too", async () => {
    await using host = await ContractHost.start();
    const client = host.client(ServerReflectionAlpha, { protocol: "gRPC" });

    const answers = await collect(
      client.serverReflectionInfo(each([{ messageRequest: { case: "listServices" as const, value: "*" } }])),
    );

    const [response] = answers.map(({ messageResponse }) => messageResponse);
    if (response?.case !== "listServicesResponse") throw new Error("no list");
    expect(response.value.service.map(({ name }) => name)).toContain("grpc.reflection.v1alpha.ServerReflection");
  });

  test("does not keep a host that stops from stopping, though tools keep their streams open", async () => {
    const host = await ContractHost.start({ stopBudgetMs: 8_000 });
    const never = deferred();
    const requests = async function* () {
      yield { messageRequest: { case: "listServices" as const, value: "" } };
      await never.promise;
    };
    const answers = host
      .client(ServerReflection, { protocol: "gRPC" })
      .serverReflectionInfo(requests())
      [Symbol.asyncIterator]();
    await answers.next();
    const startedAt = performance.now();

    const stopped = host.platform.stop();

    expect((await answers.next()).done).toBe(true);
    never.resolve();
    await stopped;
    expect(performance.now() - startedAt).toBeLessThan(4_000);
    await host[Symbol.asyncDispose]();
  });
});
