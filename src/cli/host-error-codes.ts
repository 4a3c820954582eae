import type { ErrorCode } from "../index.js";
import { type ExitCode, exitCodes } from "./exit-codes.js";

const { failed, usage, unreachable, notFound, refused, precondition, timedOut } = exitCodes;

/** The exit code of each of the host's error codes. A new error code does not compile before it is here. */
const exitCodeOfHostCode: Readonly<Record<ErrorCode, ExitCode>> = {
  INVALID_ARGUMENT: usage,
  HOST_STOPPED: unreachable,
  ALREADY_LISTENING: precondition,
  TLS_OFF: precondition,
  LISTEN_REFUSED: usage,
  STATE_DIR_IN_USE: precondition,
  HOST_URL_UNKNOWN: precondition,
  PLUGIN_NOT_FOUND: notFound,
  ENDPOINT_IN_USE: precondition,
  OPERATION_CONFLICT: precondition,
  OPERATION_ABORTED: failed,
  STEP_TIMEOUT: timedOut,
  PLUGIN_UNREACHABLE: precondition,
  PLUGIN_PROTOCOL: precondition,
  PLUGIN_FAILED: precondition,
  PLUGIN_EXITED: precondition,
  PLUGIN_CRASHED: precondition,
  PLUGIN_NOT_LISTENING: timedOut,
  PLUGIN_UNRESPONSIVE: precondition,
  PLUGIN_OUT_OF_MEMORY: precondition,
  COMMAND_NOT_FOUND: notFound,
  COMMAND_NOT_EXECUTABLE: precondition,
  COMMAND_WRONG_ARCHITECTURE: precondition,
  PORT_IN_USE: precondition,
  PLUGIN_NOT_HEALTHY: precondition,
  DECLARATION_MISMATCH: precondition,
  DEPENDENCY_MISSING: precondition,
  DEPENDENCY_CYCLE: precondition,
  REPLACEMENT_INCOMPATIBLE: precondition,
  DRAIN_TIMEOUT: timedOut,
  NO_PROVIDER: notFound,
  NO_COMPATIBLE_VERSION: notFound,
  NO_HEALTHY_PROVIDER: notFound,
  PROVIDERS_AVOIDED: precondition,
  REGISTRATION_NOT_FOUND: notFound,
  NOT_ALLOWED: refused,
  NOT_DECLARED: refused,
  UNAUTHENTICATED: refused,
  COOKIE_MISMATCH: precondition,
  CORE_VERSION_MISMATCH: precondition,
  APP_VERSION_MISMATCH: precondition,
  CAPABILITY_NOT_FOUND: notFound,
  CAPABILITY_VERSION_MISMATCH: precondition,
  CIRCUIT_OPEN: precondition,
  LIMIT_REACHED: precondition,
};

/** The exit code for one of the host's error codes; undefined for one that this version does not know. */
export const exitCodeFor = (hostCode: string): ExitCode | undefined =>
  Object.hasOwn(exitCodeOfHostCode, hostCode) ? exitCodeOfHostCode[hostCode as ErrorCode] : undefined;

const doctor = "`connect-plugin-host doctor` starts it step by step and says what to do";

const hints: Partial<Record<ErrorCode, string>> = {
  HOST_STOPPED: "the host is stopping; try again when it is back",
  PLUGIN_NOT_FOUND: "`connect-plugin-host plugins` shows what is there",
  ENDPOINT_IN_USE: "`connect-plugin-host plugins` shows who has it; use `replace` to put another plugin in its place",
  OPERATION_CONFLICT: "wait for the other operation to end; `connect-plugin-host watch` shows it",
  DEPENDENCY_MISSING: "add a plugin that provides it first; `connect-plugin-host services` shows what is there",
  REPLACEMENT_INCOMPATIBLE:
    "`connect-plugin-host impact` shows who needs it; --allow-missing-services replaces it all the same",
  STEP_TIMEOUT: "give it more time with --timeout, or look at what the plugin writes with `connect-plugin-host watch`",
  PLUGIN_EXITED: doctor,
  PLUGIN_CRASHED: doctor,
  PLUGIN_NOT_LISTENING: doctor,
  PLUGIN_PROTOCOL: doctor,
  PORT_IN_USE: doctor,
  PLUGIN_NOT_HEALTHY: "`connect-plugin-host watch` shows what it reports while it starts",
  LISTEN_REFUSED: "give --join-token, or listen on 127.0.0.1",
  UNAUTHENTICATED: "give the host's admin token with --admin-token or CONNECT_PLUGIN_HOST_ADMIN_TOKEN",
};

/** What to do about one of the host's errors, if there is something general to say. */
export const hintFor = (hostCode: string): string | undefined => hints[hostCode as ErrorCode];
