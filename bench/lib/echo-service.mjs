// The description of a service with one unary method, made here because nothing of a test is compiled for a benchmark.
import { create, createFileRegistry } from "@bufbuild/protobuf";
import { FieldDescriptorProto_Type, FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";

const message = (name) => ({
  name,
  field: [{ name: "message", number: 1, type: FieldDescriptorProto_Type.STRING, jsonName: "message" }],
});
const file = create(FileDescriptorProtoSchema, {
  name: "echo/v1/echo.proto",
  package: "echo.v1",
  syntax: "proto3",
  messageType: [message("SayRequest"), message("SayResponse")],
  service: [
    {
      name: "Echo",
      method: [{ name: "Say", inputType: ".echo.v1.SayRequest", outputType: ".echo.v1.SayResponse" }],
    },
  ],
});

/** `echo.v1.Echo` with `Say`, which takes and gives a `message`. */
export const Echo = createFileRegistry(file, () => undefined).getService("echo.v1.Echo");
