import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { oneLine, type Style } from "./text.js";

/** One event of a host, as it is told over the wire. */
export interface EventToShow {
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly details: JsonObject;
}

/** One event as one line, with its local time. Ends with a line end. */
export function eventLine({ name, at, details }: EventToShow, style: Style): string {
  const paint = isTrouble(name, details) ? style.red : (text: string) => text;
  return `${style.dim(clockText(at))} ${paint(oneLine(eventText(name, details)))}\n`;
}

/** What happened, in words. An event that this version does not know shows what belongs to it. */
export function eventText(name: string, details: JsonObject): string {
  const at = (...path: readonly string[]): string => textAt(details, path);
  const because = (reason: string): string => (reason === "" ? "" : `: ${headOf(reason)}`);
  switch (name) {
    case "watching":
      return "watching";
    case "plugin-added":
      return `${at("plugin", "runtimeId")} added (${at("plugin", "selfId")} ${at("plugin", "selfVersion")}, ${at("plugin", "origin")})`;
    case "plugin-removed":
      return `${at("plugin", "runtimeId")} removed${because(at("reason"))}`;
    case "plugin-replaced":
      return `${at("before", "runtimeId")} replaced by ${at("after", "runtimeId")} (${at("after", "selfVersion")})`;
    case "health": {
      const [state, before] = [at("health", "state"), at("before", "state")];
      return `${at("runtimeId")} is ${state}${state === before ? "" : `, was ${before}`}${because(at("health", "reason"))}`;
    }
    case "supervision":
      return `${at("runtimeId")} ${supervisionText(details)}`;
    case "registered":
      return `${at("registration", "runtimeId")} offers ${at("registration", "type")} ${at("registration", "version")}`;
    case "unregistered":
      return `${at("registration", "runtimeId")} no longer offers ${at("registration", "type")} ${at("registration", "version")}`;
    case "step": {
      const state = at("state");
      const took = state === "started" ? "" : ` in ${Math.round(Number(at("durationMs")))} ms`;
      const whom = at("runtimeId");
      return `${at("operation")}${whom === "" ? "" : ` ${whom}`}: ${at("step")} ${state}${took}${because(at("error", "message"))}`;
    }
    case "output":
      return `${at("runtimeId") || at("selfId") || (at("pid") === "" ? "a worker" : `process ${at("pid")}`)} | ${at("line")}`;
    case "call": {
      const caller = at("caller", "runtimeId") || at("caller", "user") || at("caller", "kind");
      const provider = at("provider", "runtimeId") || at("serviceType") || "nobody";
      const took = `${Math.round(Number(at("durationMs")))} ms`;
      return `${caller} -> ${provider} ${at("method")} ${at("code")} in ${took}${because(at("reason"))}`;
    }
    case "changed":
      return `revision ${at("revision", "number")}`;
    case "warning":
      return `warning: ${at("message")}${because(at("error", "message"))}`;
    default:
      return `${name} ${JSON.stringify(details)}`;
  }
}

function supervisionText(details: JsonObject): string {
  const at = (name: string): string => textAt(details, ["supervision", name]);
  const [lastError = ""] = headOf(at("lastError")).split("\n", 1);
  const why = lastError === "" ? "" : `: ${lastError}`;
  switch (at("kind")) {
    case "running":
      return "runs again";
    case "restarting":
      return `is started again at ${clockText(Number(at("nextAt")))}, start ${at("attempt")}${why}`;
    case "starting":
      return at("by") === "operator" ? "is released, and starts" : `starts again, start ${at("attempt")}`;
    case "quarantined":
      return `is quarantined, ${at("reason")}${why}`;
    case "ended":
      return `is not started again${why}`;
    default:
      return at("kind");
  }
}

/** A message without what a program wrote last: those lines stand above, as its output. */
const headOf = (message: string): string => message.replace(/; it wrote last:\n[\s\S]*/, "");

function isTrouble(name: string, details: JsonObject): boolean {
  if (name === "warning") return true;
  if (name === "step") return details.state === "failed";
  if (name === "supervision") return ["quarantined", "ended"].includes(textAt(details, ["supervision", "kind"]));
  return name === "health" && textAt(details, ["health", "state"]) === "unhealthy";
}

function textAt(details: JsonObject, path: readonly string[]): string {
  let value: JsonValue | undefined = details;
  for (const name of path) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return "";
    value = value[name];
  }
  return value === undefined || value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Local time of day, to the millisecond. */
export function clockText(at: number): string {
  const time = new Date(at);
  const parts = [time.getHours(), time.getMinutes(), time.getSeconds()].map((part) => String(part).padStart(2, "0"));
  return `${parts.join(":")}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}
