import { Code, ConnectError } from "@connectrpc/connect";
import { type ErrorCode, PluginHostError } from "../errors.js";

/** The Connect code of every error code. A new error code does not compile before it is mapped here. */
export const rpcCodes = {
  INVALID_ARGUMENT: Code.InvalidArgument,
  HOST_STOPPED: Code.Unavailable,
  ALREADY_LISTENING: Code.FailedPrecondition,
  TLS_OFF: Code.FailedPrecondition,
  LISTEN_REFUSED: Code.FailedPrecondition,
  STATE_DIR_IN_USE: Code.FailedPrecondition,
  HOST_URL_UNKNOWN: Code.FailedPrecondition,
  PLUGIN_NOT_FOUND: Code.NotFound,
  ENDPOINT_IN_USE: Code.AlreadyExists,
  OPERATION_CONFLICT: Code.Aborted,
  OPERATION_ABORTED: Code.Canceled,
  STEP_TIMEOUT: Code.DeadlineExceeded,
  PLUGIN_UNREACHABLE: Code.Unavailable,
  PLUGIN_PROTOCOL: Code.FailedPrecondition,
  PLUGIN_FAILED: Code.FailedPrecondition,
  PLUGIN_EXITED: Code.FailedPrecondition,
  PLUGIN_CRASHED: Code.FailedPrecondition,
  PLUGIN_NOT_LISTENING: Code.DeadlineExceeded,
  PLUGIN_UNRESPONSIVE: Code.FailedPrecondition,
  PLUGIN_OUT_OF_MEMORY: Code.FailedPrecondition,
  COMMAND_NOT_FOUND: Code.NotFound,
  COMMAND_NOT_EXECUTABLE: Code.FailedPrecondition,
  COMMAND_WRONG_ARCHITECTURE: Code.FailedPrecondition,
  PORT_IN_USE: Code.Unavailable,
  PLUGIN_NOT_HEALTHY: Code.FailedPrecondition,
  DECLARATION_MISMATCH: Code.FailedPrecondition,
  DEPENDENCY_MISSING: Code.FailedPrecondition,
  DEPENDENCY_CYCLE: Code.FailedPrecondition,
  REPLACEMENT_INCOMPATIBLE: Code.FailedPrecondition,
  DRAIN_TIMEOUT: Code.DeadlineExceeded,
  NO_PROVIDER: Code.NotFound,
  NO_COMPATIBLE_VERSION: Code.NotFound,
  NO_HEALTHY_PROVIDER: Code.NotFound,
  PROVIDERS_AVOIDED: Code.Unavailable,
  REGISTRATION_NOT_FOUND: Code.NotFound,
  NOT_ALLOWED: Code.PermissionDenied,
  NOT_DECLARED: Code.PermissionDenied,
  UNAUTHENTICATED: Code.Unauthenticated,
  COOKIE_MISMATCH: Code.InvalidArgument,
  CORE_VERSION_MISMATCH: Code.InvalidArgument,
  APP_VERSION_MISMATCH: Code.FailedPrecondition,
  CAPABILITY_NOT_FOUND: Code.NotFound,
  CAPABILITY_VERSION_MISMATCH: Code.FailedPrecondition,
  CIRCUIT_OPEN: Code.Unavailable,
  LIMIT_REACHED: Code.ResourceExhausted,
} as const satisfies Record<ErrorCode, Code>;

/** What a caller over RPC gets for an error of the host: its code and message, never its stack; the host's own code in the metadata `error-code`. */
export function toConnectError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  if (!(error instanceof PluginHostError)) return ConnectError.from(error, Code.Internal);
  const metadata: Record<string, string> = { "error-code": error.code };
  if (error.step !== undefined) metadata["error-step"] = error.step;
  if (error.field !== undefined && /^[\x20-\x7e]*$/.test(error.field)) metadata["error-field"] = error.field;
  return new ConnectError(error.message, rpcCodes[error.code], metadata, undefined, error);
}
