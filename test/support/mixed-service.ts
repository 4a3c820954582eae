import {
  create,
  createFileRegistry,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type DescService,
} from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";

const { STRING, BYTES, INT64, MESSAGE } = FieldDescriptorProto_Type;
const { OPTIONAL, REPEATED } = FieldDescriptorProto_Label;

const file = create(FileDescriptorProtoSchema, {
  name: "test/mixed.proto",
  package: "test",
  syntax: "proto3",
  messageType: [
    {
      name: "Mixed",
      field: [
        { name: "text", number: 1, type: STRING, label: OPTIONAL, jsonName: "text" },
        { name: "data", number: 2, type: BYTES, label: OPTIONAL, jsonName: "data" },
        { name: "big", number: 3, type: INT64, label: OPTIONAL, jsonName: "big" },
        { name: "many", number: 4, type: STRING, label: REPEATED, jsonName: "many" },
        { name: "inner", number: 5, type: MESSAGE, typeName: ".test.Mixed", label: OPTIONAL, jsonName: "inner" },
      ],
    },
  ],
  service: [
    {
      name: "Mixer",
      method: [
        { name: "Mix", inputType: ".test.Mixed", outputType: ".test.Mixed" },
        { name: "Get", inputType: ".test.Mixed", outputType: ".test.Mixed", options: { idempotencyLevel: 1 } },
        { name: "Missing", inputType: ".test.Mixed", outputType: ".test.Mixed" },
        { name: "Stream", inputType: ".test.Mixed", outputType: ".test.Mixed", serverStreaming: true },
      ],
    },
  ],
});

/** A message with a field of several kinds: `text`, `data`, `big`, `many` and `inner`. */
export interface Mixed {
  readonly text: string;
  readonly data: Uint8Array;
  readonly big: bigint;
  readonly many: readonly string[];
  readonly inner?: Mixed;
}

/** `test.Mixer` with `Mix`, `Get` (without side effects), `Missing` and `Stream`, which take and give a {@link Mixed}. */
export const Mixer = createFileRegistry(file, () => undefined).getService("test.Mixer") as DescService & {
  method: Record<"mix" | "get" | "missing", DescMethodUnary> & Record<"stream", DescMethodServerStreaming>;
};
