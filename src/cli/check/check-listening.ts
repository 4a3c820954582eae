import { checkForwarded } from "./check-forwarded.js";
import { checkGarbage } from "./check-garbage.js";
import { checkBinaryInfo, checkSameInfo } from "./check-info.js";
import { checkHealth, checkIdentity } from "./check-managed.js";
import { checkPaths, checkRequests } from "./check-requests.js";
import type { ObservedHost } from "./observed-host.js";
import type { Subject } from "./subject.js";

/**
 * Everything that is tried with a plugin that listens. With a host it is given an identity of it.
 *
 * @returns the tokens that it was given
 */
export async function checkListening(subject: Subject, host: ObservedHost | undefined): Promise<string[]> {
  await checkRequests(subject);
  await checkBinaryInfo(subject);
  await checkPaths(subject);
  await checkForwarded(subject);
  await checkHealth(subject);
  const tokens = host === undefined ? [] : await checkIdentity(subject, host);
  if (host === undefined) subject.report.skip("W-4.6", "it has got its identity by its own handshake");
  await checkGarbage(subject);
  await checkSameInfo(subject);
  return tokens;
}
