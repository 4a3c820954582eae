import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { type ErrorCode, errorCodes, PluginHostError } from "../../../src/errors.js";
import { rpcCodes, toConnectError } from "../../../src/rpc/codes.js";

test.each<{ code: ErrorCode; rpc: Code }>([
  { code: "INVALID_ARGUMENT", rpc: Code.InvalidArgument },
  { code: "UNAUTHENTICATED", rpc: Code.Unauthenticated },
  { code: "NOT_ALLOWED", rpc: Code.PermissionDenied },
  { code: "REGISTRATION_NOT_FOUND", rpc: Code.NotFound },
  { code: "NO_PROVIDER", rpc: Code.NotFound },
  { code: "NO_COMPATIBLE_VERSION", rpc: Code.NotFound },
  { code: "NO_HEALTHY_PROVIDER", rpc: Code.NotFound },
  { code: "COOKIE_MISMATCH", rpc: Code.InvalidArgument },
  { code: "CORE_VERSION_MISMATCH", rpc: Code.InvalidArgument },
  { code: "APP_VERSION_MISMATCH", rpc: Code.FailedPrecondition },
  { code: "LIMIT_REACHED", rpc: Code.ResourceExhausted },
  { code: "HOST_STOPPED", rpc: Code.Unavailable },
])("$code goes over the wire as the contract says", ({ code, rpc }) => {
  expect(rpcCodes[code]).toBe(rpc);
});

test("every code of the library has a code on the wire", () => {
  expect(Object.keys(rpcCodes).sort()).toEqual(Object.keys(errorCodes).sort());
});

test("an error keeps its message, its own code and its field, and not its stack", () => {
  const error = new PluginHostError("INVALID_ARGUMENT", "version is bad", { field: "version" });
  const sent = toConnectError(error);
  expect(sent.rawMessage).toBe("version is bad");
  expect(sent.metadata.get("error-code")).toBe("INVALID_ARGUMENT");
  expect(sent.metadata.get("error-field")).toBe("version");
  expect(sent.details).toEqual([]);
});

test("a Connect error stays what it is, and anything else is internal", () => {
  const known = new ConnectError("no", Code.Aborted);
  expect(toConnectError(known)).toBe(known);
  expect(toConnectError(new TypeError("oops")).code).toBe(Code.Internal);
});
