import { fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { PlatformService } from "../../../src/gen/connectplugin/admin/v1/platform_pb.js";
import { HandshakeService } from "../../../src/gen/connectplugin/v1/handshake_pb.js";
import { PluginLifecycle } from "../../../src/gen/connectplugin/v1/lifecycle_pb.js";
import { Health } from "../../../src/gen/grpc/health/v1/health_pb.js";
import { DescriptorIndex } from "../../../src/rpc/descriptor-index.js";

const index = new DescriptorIndex([HandshakeService, PluginLifecycle, Health, PlatformService]);
const namesOf = (files: Uint8Array[] | undefined) =>
  files?.map((file) => fromBinary(FileDescriptorProtoSchema, file).name);

test("names its services", () => {
  expect(index.services).toEqual([
    "connectplugin.v1.HandshakeService",
    "connectplugin.v1.PluginLifecycle",
    "grpc.health.v1.Health",
    "connectplugin.admin.v1.PlatformService",
  ]);
});

test.each([
  { symbol: "connectplugin.v1.HandshakeService", file: "connectplugin/v1/handshake.proto", what: "a service" },
  { symbol: ".connectplugin.v1.HandshakeService", file: "connectplugin/v1/handshake.proto", what: "a dot in front" },
  {
    symbol: "connectplugin.v1.PluginLifecycle.ReportHealth",
    file: "connectplugin/v1/lifecycle.proto",
    what: "a method",
  },
  { symbol: "connectplugin.v1.HandshakeRequest", file: "connectplugin/v1/handshake.proto", what: "a message" },
  { symbol: "connectplugin.v1.HandshakeRequest.self_id", file: "connectplugin/v1/handshake.proto", what: "a field" },
  {
    symbol: "connectplugin.v1.HealthState",
    file: "connectplugin/v1/common.proto",
    what: "an enum of an imported file",
  },
  { symbol: "connectplugin.v1.HEALTH_STATE_HEALTHY", file: "connectplugin/v1/common.proto", what: "a value" },
  {
    symbol: "grpc.health.v1.HealthCheckResponse.ServingStatus",
    file: "grpc/health/v1/health.proto",
    what: "a nested enum",
  },
  { symbol: "grpc.health.v1.HealthCheckResponse.SERVING", file: "grpc/health/v1/health.proto", what: "its value" },
])("finds the file of $symbol ($what)", ({ symbol, file }) => {
  expect(namesOf(index.fileOf(symbol))?.[0]).toBe(file);
});

test("gives a file with all that it imports, each once", () => {
  const names = namesOf(index.file("connectplugin/admin/v1/platform.proto")) ?? [];

  expect(names[0]).toBe("connectplugin/admin/v1/platform.proto");
  expect(new Set(names).size).toBe(names.length);
  const imported = names.slice(1);
  const wanted = (index.file("connectplugin/admin/v1/platform.proto") ?? []).flatMap(
    (file) => fromBinary(FileDescriptorProtoSchema, file).dependency,
  );
  expect(imported.sort()).toEqual([...new Set(wanted)].sort());
});

test.each(["", ".", "connectplugin.v1", "connectplugin.v1.Nothing", "connectplugin.v1.CapabilityBroker"])(
  "knows no %j",
  (symbol) => {
    expect(index.fileOf(symbol)).toBeUndefined();
    expect(index.file(symbol)).toBeUndefined();
  },
);
