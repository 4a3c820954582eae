import type { PluginView } from "../../index.js";
import { callText } from "./calls-to-plugin.js";
import type { Finding } from "./doctor-report.js";
import { remedies } from "./remedies.js";
import type { StartFacts } from "./tell-start.js";

/** How the plugin was asked what it is. */
export function answersFinding({ calls, watch, timeoutMs, outcome }: StartFacts): Finding {
  const call = calls.last("GetPluginInfo");
  const tookMs = watch.done.get("describe");
  const how =
    call === undefined
      ? "asked over its link or in process"
      : call.status === 200
        ? callText(call)
        : `${callText(call)}; it is known by what it registered, or was declared for it`;
  if (tookMs !== undefined && tookMs > timeoutMs) {
    const seen = `it took ${secondsText(tookMs)} from start to description, and a host waits for ${secondsText(timeoutMs)}`;
    const atLeastMs = Math.ceil((tookMs * 2) / 1_000) * 1_000;
    const message = `${seen}; it is slow, and does not hang: raise limits.describeMs to ${atLeastMs}, or start faster`;
    return { status: "fail", seen, message, code: "STEP_TIMEOUT", hint: remedies.STEP_TIMEOUT };
  }
  if (tookMs !== undefined && tookMs > timeoutMs / 2) {
    return {
      status: "warn",
      seen: `${how}, after ${secondsText(tookMs)} of the ${secondsText(timeoutMs)} that a host waits`,
      hint: "Start faster, or raise limits.describeMs before a slower machine or a busier day makes it fail.",
    };
  }
  const from = outcome.view?.pid === undefined ? "" : "; from start to description";
  return { status: "ok", seen: `${how}${from}`, durationMs: tookMs };
}

/** What the plugin says of itself. */
export function describedFinding({ selfId, selfVersion, provides, requires }: PluginView): Finding {
  const services = provides.map(({ type, version }) => `${type}@${version}`).join(", ") || "nothing";
  const needs = requires.map(
    ({ type, minVersion, required }) =>
      `${type}${minVersion === "" ? "" : `@${minVersion}`}${required ? "" : " (optional)"}`,
  );
  const seen = `${selfId} ${selfVersion}; provides ${services}; requires ${needs.join(", ") || "nothing"}`.replace(
    " ;",
    ";",
  );
  if (selfVersion !== "") return { status: "ok", seen };
  return {
    status: "warn",
    seen: `${seen}; it has no version`,
    hint: "Give it a selfVersion: events, logs and plans show it.",
  };
}

/** What the plugin needs of others. */
export function dependenciesFinding({ outcome: { played, view }, isOneOfSet }: StartFacts): Finding {
  if (played.length > 0) {
    const names = played.map(({ type, version }) => (version === "" ? type : `${type}@${version}`)).join(", ");
    if (isOneOfSet) return { status: "ok", seen: `${names}, played by stand-ins so far` };
    return {
      status: "warn",
      seen: `${names}: not here, so stand-ins played it`,
      hint: "In your own host another plugin has to provide it, or this one does not start (DEPENDENCY_MISSING).",
    };
  }
  const required = (view?.requires ?? []).filter((dependency) => dependency.required);
  return { status: "ok", seen: required.length === 0 ? "it requires nothing" : "everything that it requires is there" };
}

/** How it feels. */
export function healthFinding(view: PluginView, { watch, calls }: StartFacts): Finding {
  const durationMs = watch.done.get("health");
  const reason = view.reason === "" ? "" : ` (${view.reason})`;
  if (view.health !== "healthy") {
    return { status: "warn", seen: `${view.health}${reason}`, hint: "It is served all the same; see why it says so." };
  }
  const asked = calls.last("GetHealth");
  const how = asked !== undefined && asked.status !== 200 ? `; it has no GetHealth, so a connection is enough` : "";
  return { status: "ok", seen: `healthy${reason}${how}`, durationMs };
}

/** `320 ms`, `4.2 s`. */
export const secondsText = (ms: number): string =>
  ms < 1_000 ? `${Math.round(ms)} ms` : `${Number((ms / 1_000).toFixed(1))} s`;
