import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { endOfError, errorOfEnd, errorOfReset } from "../../../src/link/call-error.js";
import { resetCode } from "../../../src/link/frame.js";
import { SayRequestSchema } from "../../support/gen/echo/v1/echo_pb.js";

test("an error comes out of its end as it went in", () => {
  const given = new ConnectError("no such text", Code.NotFound, undefined, [
    { desc: SayRequestSchema, value: { text: "why" } },
  ]);
  given.details.push({ type: "a.B", value: new Uint8Array([1, 2]) });
  const error = errorOfEnd(endOfError(given), new Headers({ "x-own": "1" }));
  expect([error.code, error.rawMessage, error.metadata.get("x-own")]).toEqual([Code.NotFound, "no such text", "1"]);
  expect(error.findDetails(SayRequestSchema)).toEqual([create(SayRequestSchema, { text: "why" })]);
  expect(error.details[1]).toEqual({ type: "a.B", value: new Uint8Array([1, 2]) });
});

test("details are those of google.rpc.Status, whose other fields are skipped", () => {
  // code 5, then one detail: type_url "type.googleapis.com/a.B".
  const any = Buffer.concat([Buffer.from([0x0a, 23]), Buffer.from("type.googleapis.com/a.B")]);
  const details = Buffer.concat([Buffer.from([0x08, 5, 0x1a, any.length]), any]);
  const end = { code: 5, message: "", details, trailers: [] };
  expect(errorOfEnd(end, new Headers()).details).toEqual([{ type: "a.B", value: new Uint8Array() }]);
  expect(errorOfEnd({ ...end, details: Buffer.from([0x1a, 200]) }, new Headers()).details).toEqual([]);
});

test.each([
  [resetCode.cancelled, Code.Canceled, null],
  [resetCode.refused, Code.Unavailable, "1"],
  [resetCode.deadline, Code.DeadlineExceeded, null],
  [resetCode.unavailable, Code.Unavailable, "1"],
  [resetCode.tooLarge, Code.ResourceExhausted, null],
  [resetCode.internal, Code.Internal, null],
  [resetCode.protocol, Code.Internal, null],
] as const)("a reset with code %i is Connect's %i", (reset, code, retryAfter) => {
  const error = errorOfReset(reset, "why");
  expect([error.code, error.metadata.get("retry-after")]).toEqual([code, retryAfter]);
});

test.each([0, 99, -1, 2.5])("an error with the code %d, which is none, is unknown with its message", (code) => {
  const end = endOfError(new ConnectError("why", code as Code));
  expect([end.code, end.message]).toEqual([Code.Unknown, "why"]);
  expect(errorOfEnd({ ...end, code }, new Headers()).code).toBe(Code.Unknown);
});
