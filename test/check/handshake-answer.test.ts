import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { readHandshake } from "../../src/cli/check/handshake-answer.js";
import { HandshakeResponseSchema } from "../../src/gen/connectplugin/v1/handshake_pb.js";

const answer = create(HandshakeResponseSchema, { coreProtocolVersion: 1, runtimeToken: "a-token", hostSecret: "s" });
const binary = Buffer.from(toBinary(HandshakeResponseSchema, answer));
const frameHead = Buffer.alloc(5);
frameHead.writeUInt32BE(binary.length, 1);

test.each([
  { encoding: "JSON", body: Buffer.from(toJsonString(HandshakeResponseSchema, answer)) },
  { encoding: "binary", body: binary },
  { encoding: "a message of gRPC", body: Buffer.concat([frameHead, binary]) },
  {
    encoding: "a message of gRPC-Web, with its trailers",
    body: Buffer.concat([frameHead, binary, Buffer.from("\x80")]),
  },
])("a token is read from an answer in $encoding", ({ body }) => {
  const { runtimeToken, hostSecret } = readHandshake(body.toString("latin1")) ?? {};
  expect({ runtimeToken, hostSecret }).toEqual({ runtimeToken: "a-token", hostSecret: "s" });
});

test("an error has no token", () => {
  expect(readHandshake('{"code":"invalid_argument","message":"the magic cookie is another"}')?.runtimeToken).toBe("");
  expect(readHandshake("bad gateway")).toBeUndefined();
});
