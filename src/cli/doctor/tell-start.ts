import type { ErrorCode, PluginHostError } from "../../index.js";
import type { ObservedHost } from "../check/observed-host.js";
import { type CallsToPlugin, callText } from "./calls-to-plugin.js";
import type { DoctorSection, Finding } from "./doctor-report.js";
import { endsConnections } from "./ends-connections.js";
import type { StartOutcome } from "./examination.js";
import { endedConnectionRemedy, remedyFor } from "./remedies.js";
import type { StartWatch } from "./start-watch.js";
import { stepOf } from "./step-of.js";
import type { Step } from "./step-titles.js";
import { callsFinding, handshakeFinding } from "./tell-calls.js";
import { outputFinding, quantity } from "./tell-output.js";
import { answersFinding, dependenciesFinding, describedFinding, healthFinding } from "./tell-plugin.js";

/** All that is known of one start. */
export interface StartFacts {
  readonly outcome: StartOutcome;
  readonly watch: StartWatch;
  readonly calls: CallsToPlugin;
  readonly host: ObservedHost;
  readonly timeoutMs: number;
  readonly isOneOfSet: boolean;
}

/** What the host does before it starts a process, in its order. */
const beforeStart = [
  ["folder", "is there"],
  ["command", "found"],
  ["executable", "may be executed, and has what it needs to load"],
  ["architecture", `runs on ${process.platform} ${process.arch}`],
  ["port", "a free one was found on 127.0.0.1"],
] as const;

/** Errors before which the plugin has described itself, even if the description was not taken. */
const described: readonly string[] = ["DECLARATION_MISMATCH", "DEPENDENCY_MISSING", "DEPENDENCY_CYCLE"];

/** Tells every step of a start that can be told from what was seen of it. The failed one has the host's own words. */
export function tellStart(section: DoctorSection, facts: StartFacts): void {
  const { outcome, watch, calls, host } = facts;
  const { error, view } = outcome;
  const blamed = error === undefined ? undefined : section.nearest(stepOf(error), "answers", "starts");
  if (error !== undefined && blamed !== undefined) section.put(blamed, failure(error, blamed, calls));
  const pid = view?.pid ?? watch.pid ?? pidIn(error);
  const failedAt = beforeStart.findIndex(([step]) => step === blamed);
  const passed = pid === undefined ? beforeStart.slice(0, Math.max(0, failedAt)) : beforeStart;
  for (const [step, seen] of passed) section.ok(step, seen);
  if (pid !== undefined) section.ok("starts", `process ${pid}`);
  else if (watch.done.has("describe")) section.ok("starts", "its setup is done", watch.done.get("describe"));
  if (pid !== undefined || view !== undefined) section.put("output", outputFinding(watch));
  const hasEnded = error?.details.exitCode !== undefined || error?.details.signal !== undefined;
  if (pid !== undefined && error !== undefined && !hasEnded) section.ok("stays", "it ran until the host gave up");
  const isDescribed = watch.done.has("describe") || described.includes(error?.code ?? "") || blamed === "declaration";
  const info = calls.last("GetPluginInfo");
  const isHeard = error !== undefined && (error.code === "STEP_TIMEOUT" || endsConnections(error));
  const isReached = isDescribed || info !== undefined || (blamed === "answers" && isHeard);
  if (view === undefined && isReached) section.ok("listens", "it can be reached");
  if (isDescribed) {
    section.put("answers", answersFinding(facts));
    section.put("declaration", view === undefined ? { status: "ok", seen: "valid" } : describedFinding(view));
    if (watch.done.has("describe")) section.put("dependencies", dependenciesFinding(facts));
  }
  const handshake = handshakeFinding(host);
  if (view !== undefined || handshake.status === "ok") section.put("handshake", handshake);
  if (watch.done.has("identify")) section.ok("identity", identityText(facts), watch.done.get("identify"));
  if (watch.done.has("register") && view !== undefined) {
    section.ok(
      "services",
      view.provides.length === 0 ? "it provides none" : `${quantity(view.provides.length, "service")} registered`,
    );
  }
  if (view !== undefined) section.put("health", healthFinding(view, facts));
  if (view !== undefined) section.put("calls", callsFinding(host));
}

/** What the host said, and in short what it is about: what the plugin answered, or how the host begins. */
export function failure(error: PluginHostError, step: Step, calls?: CallsToPlugin): Finding {
  const { code, message } = error;
  const [beginning = ""] = message.split(/; |\n/);
  if (endsConnections(error)) {
    const seen = "it accepts connections, and ends each of them without an answer";
    return { status: "fail", seen, message: `${seen}: ${message}`, code, hint: endedConnectionRemedy };
  }
  const seen = (step === "answers" ? answerText(code, calls) : undefined) ?? beginning;
  return { status: "fail", seen, message, code, hint: remedyFor(code) };
}

/** What came back when the host asked the plugin what it is; undefined if the error tells it better. */
function answerText(code: ErrorCode, calls: CallsToPlugin | undefined): string | undefined {
  if (code === "STEP_TIMEOUT") return "it accepts connections, and did not answer in time";
  if (code !== "PLUGIN_PROTOCOL" || calls === undefined) return undefined;
  const answer = calls.last("GetPluginInfo");
  if (answer !== undefined) return callText(answer);
  return calls.calls.length === 0 ? "what it answers is no HTTP/1.1" : undefined;
}

const pidIn = (error: PluginHostError | undefined): number | undefined =>
  typeof error?.details.pid === "number" ? error.details.pid : undefined;

function identityText({ outcome: { view }, calls }: StartFacts): string {
  const given = calls.last("SetRuntimeIdentity");
  const id = view === undefined ? "it has one" : view.runtimeId;
  if (given === undefined) return id;
  return given.status === 200 ? `${id}, taken` : `${id}; it cannot call its host (${callText(given)})`;
}
