import { type ErrorCode, errorCodes } from "../../index.js";

/** What to do about each error that a start can end with. The reference explains more: docs/reference/errors.md. */
export const remedies = Object.freeze({
  INVALID_ARGUMENT: "Correct the value that the message names.",
  ENDPOINT_IN_USE: "Name every endpoint once.",
  HOST_URL_UNKNOWN: "Call `listen` before you add plugins outside the host's process, or set `publicUrl`.",
  STEP_TIMEOUT:
    "Listen, and answer GetPluginInfo and SetRuntimeIdentity, at once; do slow work later, while GetHealth says UNHEALTHY. " +
    "If it needs longer by nature, raise limits.describeMs.",
  PLUGIN_UNREACHABLE: "Start the program, and check the address: scheme, name, port, or path of the socket.",
  PLUGIN_PROTOCOL:
    "Check that it is the plugin that answers there. It has to serve connectplugin.v1.PluginIdentity over HTTP/1.1 in " +
    "JSON, or register itself; `connect-plugin-host check` names the clause that it breaks.",
  PLUGIN_FAILED: "Look at the plugin's own code: its module, its `setup`, its SetRuntimeIdentity.",
  PLUGIN_EXITED: "Run the command by hand with PORT=4001 HOSTNAME=127.0.0.1 set, and see why it ends.",
  PLUGIN_CRASHED: "Find the panic, exception or signal in its last lines, and correct the program.",
  PLUGIN_NOT_LISTENING:
    "Listen on the address in HOSTNAME and the port in PORT, before anything slow; see in its last lines what it waits " +
    "for. With --timeout 60s you see whether it only needs longer.",
  PLUGIN_UNRESPONSIVE: "Let the module's code give way: no endless loop, no synchronous wait; or raise `watchdogMs`.",
  PLUGIN_OUT_OF_MEMORY: "Find what the module keeps, or raise `resourceLimits` or `maxBufferMb`.",
  COMMAND_NOT_FOUND: "Build or install the program, or correct its path; paths are seen from --cwd.",
  COMMAND_NOT_EXECUTABLE:
    "Set its x bit (chmod +x); of a script, check the first line and that its interpreter is installed.",
  COMMAND_WRONG_ARCHITECTURE: "Build the program for this machine; `file` tells what it is built for.",
  PORT_IN_USE:
    "Listen on the port in PORT, which is free, instead of one of its own; `ss -ltnp` shows who has that one.",
  PLUGIN_NOT_HEALTHY: "See why GetHealth does not say HEALTHY; raise limits.healthMs if it only needs longer.",
  DECLARATION_MISMATCH: "Correct `declares` or what the plugin says of itself, until both say the same.",
  DEPENDENCY_MISSING:
    "Add a plugin that provides it, before this one or in the same set; or make the dependency optional.",
  DEPENDENCY_CYCLE:
    "Make one dependency on that path optional: its plugin then starts first and finds the other later.",
  UNAUTHENTICATED:
    "Send x-plugin-runtime-id and `Authorization: Bearer` with the token from the last handshake or SetRuntimeIdentity.",
  NOT_DECLARED: "Say in `provides` or `requires` what the message names, or do not call it.",
  NOT_ALLOWED: "Register and report for yourself only, under the runtime id that you were given.",
  COOKIE_MISMATCH: "Give plugin and host the same `magicCookie`.",
  CORE_VERSION_MISMATCH: "Send coreProtocolVersion 1, or use an SDK that does.",
  APP_VERSION_MISMATCH: "Use a plugin that was made for this host's `appProtocolVersion`.",
  LIMIT_REACHED: "Raise the option that the message names, or use less.",
} satisfies Partial<Record<ErrorCode, string>>);

/** What to do about a plugin that is reached, and ends each connection. */
export const endedConnectionRemedy =
  "It listens, so the address is right. See why it ends each connection before it answers: an error in its handler, a " +
  "filter of callers, or another protocol than plain HTTP, such as TLS.";

/** What to do about an error; undefined for one that no start ends with. */
export const remedyFor = (code: ErrorCode): string | undefined =>
  Object.hasOwn(remedies, code) ? remedies[code as keyof typeof remedies] : undefined;

/** Where an error is explained. */
export const referenceOf = (code: ErrorCode): string => `docs/reference/errors.md#${errorCodes[code].toLowerCase()}`;
