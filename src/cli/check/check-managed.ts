import type { ObservedHost } from "./observed-host.js";
import { answerText } from "./plugin-http.js";
import { isMissing, procedures, type Subject } from "./subject.js";

const healthStates: readonly unknown[] = [
  "HEALTH_STATE_UNSPECIFIED",
  "HEALTH_STATE_HEALTHY",
  "HEALTH_STATE_DEGRADED",
  "HEALTH_STATE_UNHEALTHY",
  0,
  1,
  2,
  3,
];

/** Gives the plugin an identity, and the same with a new token. Returns the tokens that it knows then. */
export async function checkIdentity({ http, report, info }: Subject, host: ObservedHost): Promise<string[]> {
  const first = await host.identity(info?.selfId || "checked-plugin");
  const second = await host.identity(info?.selfId || "checked-plugin", first);
  const tokens: string[] = [];
  for (const { runtimeId, runtimeToken } of [first, second]) {
    try {
      const message = { runtimeId, runtimeToken, hostUrl: host.pluginUrl };
      const answer = await http.ask(procedures.identity, message);
      if (isMissing(answer)) {
        report.skip("W-4.6", "it has no SetRuntimeIdentity: it can be called, and calls nobody");
        return tokens;
      }
      tokens.push(runtimeToken);
      const isTaken = answer.status === 200 && fieldOf(answer.body, "acknowledged") === true;
      const which = runtimeToken === first.runtimeToken ? "" : "with a new token: ";
      report.judge("W-4.6", isTaken ? undefined : which + answerText(answer), "acknowledged, twice");
    } catch (error) {
      report.failWith("W-4.6", error);
    }
  }
  return tokens;
}

/** Polls its health once. */
export async function checkHealth({ http, report }: Subject): Promise<void> {
  try {
    const answer = await http.ask(procedures.health);
    if (isMissing(answer)) {
      report.skip("W-8.5", "it has no GetHealth: the host requests health_path, or opens a connection");
      return;
    }
    const state = fieldOf(answer.body, "state") ?? "HEALTH_STATE_UNSPECIFIED";
    const isRight = answer.status === 200 && isObject(answer.body) && healthStates.includes(state);
    report.judge("W-8.5", isRight ? undefined : answerText(answer), String(state));
  } catch (error) {
    report.failWith("W-8.5", error);
  }
}

/** Looks for the tokens in what the program wrote. */
export function checkSecrecy(report: Subject["report"], tokens: readonly string[], output: string): void {
  if (tokens.length === 0) {
    report.skip("W-4.7", "it was given no token");
    return;
  }
  const isThere = tokens.some((token) => output.includes(token));
  report.judge("W-4.7", isThere ? "the whole token is in its output" : undefined, "no token in its output");
}

const parse = (body: Buffer): unknown => {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
};

const isObject = (body: Buffer): boolean => {
  const value = parse(body);
  return typeof value === "object" && value !== null && !Array.isArray(value);
};

function fieldOf(body: Buffer, name: string): unknown {
  const value = parse(body);
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
