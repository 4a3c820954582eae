/**
 * Every way in which the library refuses or fails, by a code that does not change between releases.
 * Match on `code`; messages are for people and may be reworded.
 */
export const errorCodes = {
  /** A value given to the API or over the wire is not usable; `field` names it. */
  INVALID_ARGUMENT: "INVALID_ARGUMENT",
  /** The platform is stopping or stopped. */
  HOST_STOPPED: "HOST_STOPPED",
  /** `listen` was called while the platform listens already. */
  ALREADY_LISTENING: "ALREADY_LISTENING",
  /** `setCertificate` was called on a platform that does not listen with a certificate. */
  TLS_OFF: "TLS_OFF",
  /** Listening there would let anybody on the network become a plugin. */
  LISTEN_REFUSED: "LISTEN_REFUSED",
  /** A plugin needs the host's URL, and the host neither listens nor has the option `publicUrl`. */
  HOST_URL_UNKNOWN: "HOST_URL_UNKNOWN",
  /** No plugin has this runtime id (or it has been removed or replaced). */
  PLUGIN_NOT_FOUND: "PLUGIN_NOT_FOUND",
  /** Another plugin or another operation has this endpoint. */
  ENDPOINT_IN_USE: "ENDPOINT_IN_USE",
  /** Another operation on the same plugin is under way and excludes this one. */
  OPERATION_CONFLICT: "OPERATION_CONFLICT",
  /** The caller's signal ended the operation. */
  OPERATION_ABORTED: "OPERATION_ABORTED",
  /** A step of an operation took longer than its limit. */
  STEP_TIMEOUT: "STEP_TIMEOUT",
  /** Nothing answers at the plugin's address. */
  PLUGIN_UNREACHABLE: "PLUGIN_UNREACHABLE",
  /** The plugin answers, but not as the wire contract asks. */
  PLUGIN_PROTOCOL: "PLUGIN_PROTOCOL",
  /** The plugin's own code failed to start or refused its identity. */
  PLUGIN_FAILED: "PLUGIN_FAILED",
  /** The plugin's process or thread ended before it was ready, or while others counted on it; `details` has exit code, signal and last lines. */
  PLUGIN_EXITED: "PLUGIN_EXITED",
  /** A signal ended the plugin's process, or an error in it that nobody handled: a panic, an uncaught exception. Otherwise as `PLUGIN_EXITED`. */
  PLUGIN_CRASHED: "PLUGIN_CRASHED",
  /** The plugin's process runs, and the host could not reach it in time: it has not opened its port. */
  PLUGIN_NOT_LISTENING: "PLUGIN_NOT_LISTENING",
  /** The watchdog has ended the plugin's worker thread: it answered nothing for as long as `watchdogMs` allows. */
  PLUGIN_UNRESPONSIVE: "PLUGIN_UNRESPONSIVE",
  /** The plugin's worker thread has filled its JavaScript heap, or held more outside of it than `maxBufferMb` allows. */
  PLUGIN_OUT_OF_MEMORY: "PLUGIN_OUT_OF_MEMORY",
  /** There is no such program. */
  COMMAND_NOT_FOUND: "COMMAND_NOT_FOUND",
  /** The program is there, and the system cannot run it: its mode, its format, or the interpreter or loader that it needs. */
  COMMAND_NOT_EXECUTABLE: "COMMAND_NOT_EXECUTABLE",
  /** The program is built for another kind of machine or system. */
  COMMAND_WRONG_ARCHITECTURE: "COMMAND_WRONG_ARCHITECTURE",
  /** Other processes took every port that the host chose for a program, or the program wants one that is taken. */
  PORT_IN_USE: "PORT_IN_USE",
  /** The plugin reported or was seen unhealthy while it had to become healthy. */
  PLUGIN_NOT_HEALTHY: "PLUGIN_NOT_HEALTHY",
  /** What the plugin says of itself differs from what the caller declared for it. */
  DECLARATION_MISMATCH: "DECLARATION_MISMATCH",
  /** A required dependency has no provider that fits. */
  DEPENDENCY_MISSING: "DEPENDENCY_MISSING",
  /** Plugins require each other in a circle; `path` in `details` names it. */
  DEPENDENCY_CYCLE: "DEPENDENCY_CYCLE",
  /** A replacement lacks a service, or a version of it, that other plugins require. */
  REPLACEMENT_INCOMPATIBLE: "REPLACEMENT_INCOMPATIBLE",
  /** Calls were still open when the time for draining ended. */
  DRAIN_TIMEOUT: "DRAIN_TIMEOUT",
  /** Nobody provides this service type. */
  NO_PROVIDER: "NO_PROVIDER",
  /** The service type has providers, but none in the range asked for. */
  NO_COMPATIBLE_VERSION: "NO_COMPATIBLE_VERSION",
  /** Fitting providers exist, but none of them can take calls now. */
  NO_HEALTHY_PROVIDER: "NO_HEALTHY_PROVIDER",
  /** The only providers that can take the call are those that the caller avoids. */
  PROVIDERS_AVOIDED: "PROVIDERS_AVOIDED",
  /** No registration has this id. */
  REGISTRATION_NOT_FOUND: "REGISTRATION_NOT_FOUND",
  /** Another host uses the folder that the option `stateDir` names. */
  STATE_DIR_IN_USE: "STATE_DIR_IN_USE",
  /** The caller is known, and may not do this. */
  NOT_ALLOWED: "NOT_ALLOWED",
  /** A plugin discovers, watches, calls or registers what it did not declare; the message says which declaration is missing. */
  NOT_DECLARED: "NOT_DECLARED",
  /** The caller's identity is missing, wrong, expired or revoked. */
  UNAUTHENTICATED: "UNAUTHENTICATED",
  /** The handshake's magic cookie is not the host's. */
  COOKIE_MISMATCH: "COOKIE_MISMATCH",
  /** The handshake's core protocol version is not the host's. */
  CORE_VERSION_MISMATCH: "CORE_VERSION_MISMATCH",
  /** The handshake's application protocol version is not the host's. */
  APP_VERSION_MISMATCH: "APP_VERSION_MISMATCH",
  /** The host offers no capability of this type. */
  CAPABILITY_NOT_FOUND: "CAPABILITY_NOT_FOUND",
  /** The host offers the capability, but in no version that was asked for. */
  CAPABILITY_VERSION_MISMATCH: "CAPABILITY_VERSION_MISMATCH",
  /** A circuit breaker made no call, because too many before it had failed. */
  CIRCUIT_OPEN: "CIRCUIT_OPEN",
  /** A limit on a count or rate was reached. */
  LIMIT_REACHED: "LIMIT_REACHED",
} as const;

/** One of {@link errorCodes}. */
export type ErrorCode = keyof typeof errorCodes;

/** What a {@link PluginHostError} may carry beside code and message. */
export interface PluginHostErrorOptions {
  /** The error underneath. */
  readonly cause?: unknown;
  /** Path of the bad value, such as `services[0].version`. */
  readonly field?: string;
  /** The step of add, remove or replace that failed. */
  readonly step?: string;
  /** Facts for programs: paths of cycles, ids, exit codes. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/**
 * The only error class that the library throws on purpose. `code` is stable, `message` says what was
 * seen and what to do next.
 */
export class PluginHostError extends Error {
  override readonly name = "PluginHostError";
  readonly code: ErrorCode;
  readonly field: string | undefined;
  readonly step: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: PluginHostErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.field = options.field;
    this.step = options.step;
    this.details = Object.freeze({ ...options.details });
  }
}

/** An `INVALID_ARGUMENT` error for `field`. The message begins with the field's name. */
export function invalid(field: string, message: string, cause?: unknown): PluginHostError {
  return new PluginHostError("INVALID_ARGUMENT", `${field} ${message}`, { field, cause });
}
