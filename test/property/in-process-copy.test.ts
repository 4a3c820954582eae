import {
  clone,
  create,
  createFileRegistry,
  createRegistry,
  type DescMessage,
  equals,
  fromBinary,
  type Message,
  toBinary,
} from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
  file_google_protobuf_struct,
  file_google_protobuf_wrappers,
} from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { expect, test } from "vitest";
import { MessageCopier } from "../../src/link/in-process-copy.js";

const registry = createRegistry();
const T = FieldDescriptorProto_Type;
const { OPTIONAL, REPEATED } = FieldDescriptorProto_Label;

/** Every kind of field, in proto3 and in proto2, whose unset fields are seen through a prototype. */
function everyKind(syntax: "proto2" | "proto3"): DescMessage {
  const name = `test.${syntax}.Every`;
  const field = (fieldName: string, number: number, type: number, more: object = {}) => ({
    name: fieldName,
    number,
    type,
    label: OPTIONAL,
    jsonName: fieldName,
    ...more,
  });
  const mapOf = (entry: string, key: number, value: number, more: object = {}) => ({
    name: entry,
    options: { mapEntry: true },
    field: [field("key", 1, key), field("value", 2, value, more)],
  });
  const listOf = (fieldName: string, number: number, type: number, more: object = {}) =>
    field(fieldName, number, type, { label: REPEATED, ...more });
  const inner = { typeName: `.${name}` };
  const files = createFileRegistry(
    create(FileDescriptorProtoSchema, {
      name: `test/${syntax}.proto`,
      package: `test.${syntax}`,
      syntax,
      dependency: ["google/protobuf/wrappers.proto", "google/protobuf/struct.proto"],
      enumType: [
        {
          name: "Kind",
          value: [
            { name: "NONE", number: 0 },
            { name: "SOME", number: 1 },
          ],
        },
      ],
      messageType: [
        {
          name: "Every",
          oneofDecl: [{ name: "choice" }],
          nestedType: [
            mapOf("ByTextEntry", T.STRING, T.BYTES),
            mapOf("ByNumberEntry", T.INT32, T.MESSAGE, inner),
            mapOf("ByFlagEntry", T.BOOL, T.STRING),
          ],
          field: [
            field("text", 1, T.STRING),
            field("data", 2, T.BYTES),
            field("big", 3, T.INT64),
            field("unsigned", 4, T.UINT64),
            field("count", 5, T.INT32),
            field("flag", 6, T.BOOL),
            field("ratio", 7, T.DOUBLE),
            field("single", 8, T.FLOAT),
            field("kind", 9, T.ENUM, { typeName: `.test.${syntax}.Kind` }),
            field("inner", 10, T.MESSAGE, inner),
            listOf("texts", 11, T.STRING),
            listOf("datas", 12, T.BYTES),
            listOf("inners", 13, T.MESSAGE, inner),
            listOf("numbers", 14, T.UINT32),
            listOf("by_text", 15, T.MESSAGE, { typeName: `.${name}.ByTextEntry`, jsonName: "byText" }),
            listOf("by_number", 16, T.MESSAGE, { typeName: `.${name}.ByNumberEntry`, jsonName: "byNumber" }),
            listOf("by_flag", 17, T.MESSAGE, { typeName: `.${name}.ByFlagEntry`, jsonName: "byFlag" }),
            field("chosen_text", 18, T.STRING, { oneofIndex: 0, jsonName: "chosenText" }),
            field("chosen_data", 19, T.BYTES, { oneofIndex: 0, jsonName: "chosenData" }),
            field("chosen_inner", 20, T.MESSAGE, { oneofIndex: 0, ...inner, jsonName: "chosenInner" }),
            field("wrapped", 21, T.MESSAGE, { typeName: ".google.protobuf.BytesValue" }),
            field("wrapped_long", 22, T.MESSAGE, { typeName: ".google.protobuf.Int64Value", jsonName: "wrappedLong" }),
            field("json", 23, T.MESSAGE, { typeName: ".google.protobuf.Struct" }),
            field("text_long", 24, T.SINT64, { options: { jstype: 1 }, jsonName: "textLong" }),
          ],
        },
      ],
    }),
    (path) =>
      [file_google_protobuf_wrappers, file_google_protobuf_struct].find((file) => `${file.name}.proto` === path)?.proto,
  );
  return files.getMessage(name) as DescMessage;
}

const bytes = fc.uint8Array({ maxLength: 4 });
const text = fc.string({ unit: "grapheme", maxLength: 4 });
const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const json = fc.dictionary(
  text.filter((key) => key !== "__proto__"),
  fc.oneof(text, fc.boolean(), fc.constant(null), fc.constant([1, "a"])),
  {
    maxKeys: 3,
  },
);

/** Initialisers of messages three levels deep. */
const initOf = (depth: number): fc.Arbitrary<object> => {
  const inner = depth === 0 ? fc.constant({}) : fc.record({ inner: initOf(depth - 1), text }, { requiredKeys: [] });
  return fc.record(
    {
      text,
      data: bytes,
      big: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      unsigned: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      count: int32,
      flag: fc.boolean(),
      ratio: fc.double({ noNaN: true }),
      single: fc.float({ noNaN: true }),
      kind: fc.constantFrom(0, 1),
      inner,
      texts: fc.array(text, { maxLength: 3 }),
      datas: fc.array(bytes, { maxLength: 3 }),
      inners: fc.array(inner, { maxLength: 2 }),
      numbers: fc.array(fc.nat(), { maxLength: 3 }),
      byText: fc.dictionary(text, bytes, { maxKeys: 3 }),
      byNumber: fc.array(fc.tuple(int32.map(String), inner), { maxLength: 2 }).map(Object.fromEntries),
      byFlag: fc.constantFrom({}, { true: "a" }, { false: "b", true: "c" }),
      choice: fc.oneof(
        fc.record({ case: fc.constant("chosenText"), value: text }),
        fc.record({ case: fc.constant("chosenData"), value: bytes }),
        fc.record({ case: fc.constant("chosenInner"), value: inner }),
      ),
      wrapped: bytes,
      wrappedLong: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      json,
      textLong: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
    },
    { requiredKeys: [] },
  );
};

const unknown = fc.array(fc.record({ no: fc.integer({ min: 1_000, max: 2_000 }), data: bytes }), { maxLength: 2 });

/** Every object and array that can be changed in a message. */
function partsOf(value: unknown, found = new Set<object>()): Set<object> {
  if (typeof value !== "object" || value === null) return found;
  if (ArrayBuffer.isView(value)) {
    // Of what is empty nothing can be changed.
    if (value.byteLength > 0) found.add(value).add(value.buffer);
    return found;
  }
  found.add(value);
  for (const inner of Object.values(value)) partsOf(inner, found);
  return found;
}

for (const syntax of ["proto3", "proto2"] as const) {
  const schema = everyKind(syntax);

  test(`a copy of a ${syntax} message is what a clone is, and what comes out of its bytes`, () => {
    const copier = new MessageCopier();
    fc.assert(
      fc.property(initOf(2), unknown, (init, extra) => {
        const message = create(schema, init as never);
        if (extra.length > 0) {
          const withLength = extra.map(({ no, data }) => ({
            no,
            wireType: 2,
            data: Uint8Array.of(data.length, ...data),
          }));
          (message as Message).$unknown = withLength as never;
        }
        const copy = copier.copy(schema, message);
        expect(equals(schema, copy, clone(schema, message), { unknown: true, registry })).toBe(true);
        const overWire = fromBinary(schema, toBinary(schema, message));
        expect(equals(schema, copy, overWire, { unknown: true, registry })).toBe(true);
        expect(Object.getPrototypeOf(copy)).toBe(Object.getPrototypeOf(message));
        const shared = partsOf(message);
        for (const part of partsOf(copy)) expect(shared.has(part)).toBe(false);
        expect(Buffer.from(toBinary(schema, copy)).equals(Buffer.from(toBinary(schema, message)))).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test(`a ${syntax} message with a value that its field cannot have fails as it does on a wire, or becomes what it does there`, () => {
    const copier = new MessageCopier();
    const wrong = fc.constantFrom<unknown>(
      5,
      "5",
      1.5,
      2 ** 40,
      -1,
      true,
      null,
      {},
      [],
      7n,
      2n ** 70n,
      Number.NaN,
      "\ud800",
      [null],
      [{}],
      { a: 1 },
      JSON.parse('{ "__proto__": "x" }'),
    );
    const names = schema.members.map(({ localName }) => localName);
    const outcome = (make: () => Message): unknown => {
      try {
        return Buffer.from(toBinary(schema, make())).toString("hex");
      } catch (error) {
        return (error as Error).message;
      }
    };
    fc.assert(
      fc.property(fc.constantFrom(...names), wrong, (name, value) => {
        const message = create(schema) as Message & Record<string, unknown>;
        message[name] = value;
        const onWire = outcome(() => fromBinary(schema, toBinary(schema, message)));
        expect(outcome(() => copier.copy(schema, message))).toBe(onWire);
      }),
      { numRuns: 1_000 },
    );
  });
}
