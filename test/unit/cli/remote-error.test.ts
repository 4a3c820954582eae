import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { CliError } from "../../../src/cli/cli-error.js";
import { exitCodeFor } from "../../../src/cli/host-error-codes.js";
import { remoteError } from "../../../src/cli/remote-error.js";
import { errorCodes } from "../../../src/errors.js";
import { rpcCodes } from "../../../src/rpc/codes.js";

const address = { kind: "url", url: "http://127.0.0.1:4000" } as const;
const systemError = (code: string) => Object.assign(new Error(`connect ${code} there`), { code, syscall: "connect" });

test.each([
  { code: Code.InvalidArgument, exitCode: 2 },
  { code: Code.Unauthenticated, exitCode: 5 },
  { code: Code.PermissionDenied, exitCode: 5 },
  { code: Code.NotFound, exitCode: 4 },
  { code: Code.FailedPrecondition, exitCode: 6 },
  { code: Code.AlreadyExists, exitCode: 6 },
  { code: Code.ResourceExhausted, exitCode: 6 },
  { code: Code.DeadlineExceeded, exitCode: 7 },
  { code: Code.Unavailable, exitCode: 3 },
  { code: Code.Unimplemented, exitCode: 3 },
  { code: Code.Internal, exitCode: 1 },
  { code: Code.Unknown, exitCode: 1 },
  { code: Code.Canceled, exitCode: 1 },
])("an answer with Connect code $code alone ends with $exitCode", ({ code, exitCode }) => {
  expect(remoteError(new ConnectError("no", code), address)).toMatchObject({ exitCode });
});

test.each([
  {
    system: "ECONNREFUSED",
    exitCode: 3,
    message: /^no host answers at http:\/\/127\.0\.0\.1:4000: connect ECONNREFUSED/,
  },
  { system: "ENOENT", exitCode: 3, message: /no host answers/ },
  { system: "ENOTFOUND", exitCode: 3, message: /no host answers/ },
  { system: "EACCES", exitCode: 5, message: /no access to/ },
])("a connection that fails with $system ends with $exitCode", ({ system, exitCode, message }) => {
  for (const code of [Code.Unavailable, Code.Internal, Code.Aborted]) {
    const error = new ConnectError("x", code, undefined, undefined, systemError(system));
    expect(remoteError(error, address)).toMatchObject({ exitCode, message: expect.stringMatching(message) });
  }
});

test("the host's own code decides over the Connect code, and its step and message come through", () => {
  const error = new ConnectError("nothing answers", Code.Unavailable, {
    "error-code": "PLUGIN_UNREACHABLE",
    "error-step": "describe",
  });
  expect(remoteError(error, address)).toMatchObject({
    exitCode: 6,
    message: "nothing answers",
    details: { code: "unavailable", hostCode: "PLUGIN_UNREACHABLE", step: "describe" },
  });
});

test("a code of a newer host ends as its Connect code does", () => {
  const error = new ConnectError("x", Code.NotFound, { "error-code": "SOMETHING_NEW" });
  expect(remoteError(error, address)).toMatchObject({ exitCode: 4, details: { hostCode: "SOMETHING_NEW" } });
});

test("what is no error of a call is left as it is", () => {
  const error = new TypeError("a mistake");
  expect(remoteError(error, address)).toBe(error);
});

test("every error code of the host has an exit code that fits the code on the wire", () => {
  const exitCodesOf: Partial<Record<Code, readonly number[]>> = {
    [Code.InvalidArgument]: [2, 6],
    [Code.NotFound]: [4],
    [Code.PermissionDenied]: [5],
    [Code.Unauthenticated]: [5],
    [Code.DeadlineExceeded]: [7],
    [Code.Canceled]: [1],
    [Code.Unavailable]: [3, 6],
  };
  for (const code of Object.values(errorCodes)) {
    expect(exitCodesOf[rpcCodes[code]] ?? [2, 6], code).toContain(exitCodeFor(code));
  }
  expect(exitCodeFor("toString")).toBeUndefined();
  expect(new CliError(1, "x")).toBeInstanceOf(Error);
});
