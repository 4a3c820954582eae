import { answerText } from "./plugin-http.js";
import type { Subject } from "./subject.js";

/** What the host puts on calls that it forwards (W-9.5). */
const forwarded = Object.freeze({
  "x-plugin-caller-id": "check-0123456789abcdef",
  "x-plugin-caller-self-id": "check",
  "x-forwarded-for": "127.0.0.1",
  "x-forwarded-proto": "http",
  "x-forwarded-host": "127.0.0.1",
  via: "1.1 connect-plugin-host",
  traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
});

/**
 * Whether the headers of forwarded calls make it fail. Nothing tells the names of its methods, so this is tried with the procedure
 * that has no effect. A refusal is none of it: a plugin may let nobody but its host call that.
 */
export async function checkForwarded({ http, report, probe, info }: Subject): Promise<void> {
  if (probe === undefined || info?.provides.length === 0) return;
  const headers = { "content-type": "application/json", ...forwarded };
  try {
    const answer = await http.send({ path: probe, headers, body: "{}" });
    // No pass: whether calls arrive is seen when a host forwards one.
    if (isFailure(answer.status)) {
      report.fail("W-9.9", `${probe} with the headers of a forwarded call: ${answerText(answer)}`);
    }
  } catch (error) {
    report.failWith("W-9.9", error);
  }
}

/** Whether a plugin says with this status that it has failed. 501 is how it says that there is no such method. */
export const isFailure = (status: number): boolean => status >= 500 && status !== 501;
