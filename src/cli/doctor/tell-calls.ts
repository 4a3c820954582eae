import { handshake } from "../check/check-calls-to-host.js";
import type { ObservedCall, ObservedHost } from "../check/observed-host.js";
import type { Finding } from "./doctor-report.js";
import { quantity } from "./tell-output.js";

const refused = ({ status }: ObservedCall): boolean => status !== undefined && status >= 400;

/** Whether the plugin came to the host by itself. Undefined if the host refused it: then the error tells more. */
export function handshakeFinding(host: ObservedHost): Finding {
  const made = host.calls.filter(({ procedure }) => procedure === handshake);
  const good = made.filter((call) => !refused(call));
  if (good.length > 0) return { status: "ok", seen: `made, and accepted; cookie and versions are the host's` };
  if (made.length > 0)
    return { status: "warn", seen: shown(made[0] as ObservedCall), hint: "See what the host answered." };
  const why =
    host.upgrades > 0
      ? "none over HTTP; it speaks to its host over a link"
      : "it made none; the host gives it its identity";
  return { status: "skipped", seen: why };
}

/** Whether the host took what the plugin asked of it. */
export function callsFinding(host: ObservedHost): Finding {
  const others = host.calls.filter(({ procedure }) => procedure !== handshake);
  // What a stand-in cannot play is nobody's fault.
  const bad = others.filter((call) => refused(call) && call.status !== 501);
  const [first] = bad;
  if (first !== undefined) {
    return {
      status: "warn",
      seen: `${bad.length} of ${others.length} refused, first: ${shown(first)}`,
      hint: "Read the answer; `connect-plugin-host check` tells which clause of the wire it is about.",
    };
  }
  const overLink = host.upgrades > 0 ? "it has opened a link; what is said there is not counted" : "";
  if (others.length === 0) return { status: "skipped", seen: overLink || "it made none" };
  return { status: "ok", seen: `${quantity(others.length, "call")} accepted${overLink && `; ${overLink}`}` };
}

function shown({ procedure, status, answer }: ObservedCall): string {
  const bodyAt = answer.indexOf("\r\n\r\n");
  const body = answer.slice(bodyAt === -1 ? 0 : bodyAt + 4, 400).trim();
  return `${procedure} was answered ${status}${body === "" ? "" : `: ${body}`}`;
}
