import type { PluginHostError } from "../../index.js";
import { endsConnections } from "./ends-connections.js";
import type { Step } from "./step-titles.js";

/** The step in which a start went wrong, by the error that it ended with. */
export function stepOf(error: PluginHostError): Step {
  const { code, step, field } = error;
  switch (code) {
    case "COMMAND_NOT_FOUND":
      return "command";
    case "COMMAND_NOT_EXECUTABLE":
      return "executable";
    case "COMMAND_WRONG_ARCHITECTURE":
      return "architecture";
    case "PORT_IN_USE":
      return "port";
    case "PLUGIN_EXITED":
    case "PLUGIN_CRASHED":
      return "stays";
    case "PLUGIN_NOT_LISTENING":
    case "PLUGIN_UNREACHABLE":
      if (endsConnections(error)) return "answers";
      return step === "health" ? "health" : "listens";
    case "DECLARATION_MISMATCH":
      return "declaration";
    case "DEPENDENCY_MISSING":
    case "DEPENDENCY_CYCLE":
      return "dependencies";
    case "COOKIE_MISMATCH":
    case "CORE_VERSION_MISMATCH":
    case "APP_VERSION_MISMATCH":
      return "handshake";
    case "UNAUTHENTICATED":
    case "NOT_ALLOWED":
    case "NOT_DECLARED":
    case "LIMIT_REACHED":
      return "calls";
    case "PLUGIN_NOT_HEALTHY":
      return "health";
    case "INVALID_ARGUMENT":
      return field === "cwd" ? "folder" : field?.startsWith("the plugin's info") === true ? "declaration" : "starts";
    default:
      return inHostStep(step);
  }
}

/** What the plugin was asked for in a step of the host. */
function inHostStep(step: string | undefined): Step {
  if (step === "describe") return "answers";
  if (step === "identify") return "identity";
  if (step === "health") return "health";
  return "starts";
}
