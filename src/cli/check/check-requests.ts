import http from "node:http";
import https from "node:https";
import { gzipSync } from "node:zlib";
import type { ClauseId } from "./clauses.js";
import { answerText, type ProbeAnswer, type ProbeRequest, plainBody } from "./plugin-http.js";
import { procedures, type Subject } from "./subject.js";

const json = { "content-type": "application/json" };
/** No message. Who answers it with success has not read it: most procedures take a body that is not read for an empty message. */
const unreadable = '{"a":';

/** Tries what callers may do with a request: each of it with the procedure that has no effect. */
export async function checkRequests(subject: Subject): Promise<void> {
  const { probe: path, report } = subject;
  if (path === undefined) {
    const unprobed: readonly ClauseId[] = ["W-1.4", "W-1.5", "W-1.6", "W-1.7", "W-1.11", "W-1.12", "W-1.13", "W-1.14"];
    for (const clause of [...unprobed, "W-1.16", "W-1.19", "W-10.5"] as const) {
      report.skip(clause, "it serves neither GetPluginInfo nor GetHealth, so there is nothing to try it with");
    }
    return;
  }
  const body = "{}";
  await expectStatus(subject, "W-1.4", { path, headers: json, body: '{"aFieldOfLaterHosts":{"a":[1]}}' }, isOk);
  await expectStatus(subject, "W-1.6", { path, headers: json, body, chunked: true }, isOk);
  const loud = { "CONTENT-TYPE": "application/json; charset=utf-8" };
  await expectStatus(subject, "W-1.19", { path, headers: loud, body }, isOk);
  const unknown = { "content-type": "application/x-nobody-speaks-this" };
  await expectStatus(subject, "W-1.11", { path, headers: unknown, body }, isRefusal);
  const zipped = { ...json, "content-encoding": "gzip" };
  await expectStatus(subject, "W-1.12", { path, headers: zipped, body: gzipSync(body) }, (status) =>
    isOk(status) ? true : isRefusal(status),
  );
  await checkCompressedAnswers(subject, path);
  await checkUnreadable(subject, path);
  await checkKeepAlive(subject, path);
}

/** Procedures that it does not have, and methods that run none. */
export async function checkPaths(subject: Subject): Promise<void> {
  const missing = { path: "/connectplugin.v1.PluginIdentity/NoSuchMethod", headers: json, body: "{}" };
  await expectStatus(subject, "W-1.15", missing, (status) => status === 404 || status === 501);
  const { probe: path } = subject;
  const others: ProbeRequest[] = [
    // The procedure whose effect would be seen: nothing answers any more after it.
    { path: procedures.shutdown, method: "GET" },
    { path: procedures.shutdown, method: "GET", headers: json },
  ];
  // Without effect, and answered for certain: what looks at the content type first is not to be taken for what looks at the method.
  if (path !== undefined) {
    others.unshift({ path, method: "GET", headers: json }, { path, method: "PUT", headers: json, body: "{}" });
  }
  for (const request of others) {
    if (subject.report.hasFailed("W-1.18")) return;
    await expectStatus(subject, "W-1.18", request, isRefusal, `${request.method} ${request.path} was answered `);
  }
}

const isOk = (status: number): boolean => status === 200;
const isRefusal = (status: number): boolean => (status >= 400 && status < 500) || status === 501;
const isNoSuccess = (status: number): boolean => !isOk(status);

async function expectStatus(
  { http: plugin, report }: Subject,
  clause: ClauseId,
  request: ProbeRequest,
  isRight: (status: number) => boolean,
  whatWas = "",
): Promise<ProbeAnswer | undefined> {
  try {
    const answer = await plugin.send(request);
    report.judge(clause, isRight(answer.status) ? undefined : whatWas + answerText(answer), `status ${answer.status}`);
    return answer;
  } catch (error) {
    report.failWith(clause, error);
    return undefined;
  }
}

/** A message that cannot be read: as it is, and so that only who reads chunks or gzip sees it. */
async function checkUnreadable(subject: Subject, path: string): Promise<void> {
  const { report } = subject;
  const isClientError = (status: number): boolean => status >= 400 && status < 500;
  const refusal = await expectStatus(subject, "W-1.16", { path, headers: json, body: unreadable }, isClientError);
  if (refusal !== undefined && refusal.status >= 400) {
    report.judge("W-10.5", errorProblem(refusal), answerText(refusal));
  } else report.skip("W-10.5", "it made no error that could be looked at");
  // Who does not look at messages at all cannot be told from who does not read them.
  if (report.hasFailed("W-1.16")) return;
  if (!report.hasFailed("W-1.6")) {
    const inChunks = { path, headers: json, body: unreadable, chunked: true };
    await expectStatus(subject, "W-1.6", inChunks, isNoSuccess, "to chunks that are no JSON, as if they were empty: ");
  }
  if (!report.hasFailed("W-1.12")) {
    const headers = { ...json, "content-encoding": "gzip" };
    const zipped = { path, headers, body: gzipSync(unreadable) };
    await expectStatus(subject, "W-1.12", zipped, isNoSuccess, "to gzip of what is no JSON, as if it were empty: ");
  }
}

async function checkCompressedAnswers({ http: plugin, report }: Subject, path: string): Promise<void> {
  try {
    const plain = await plugin.send({ path, headers: json, body: "{}" });
    const encoding = plain.headers["content-encoding"] ?? "identity";
    if (encoding !== "identity")
      return report.fail("W-1.13", `Content-Encoding: ${encoding} without being asked for it`);
    const zipped = await plugin.send({ path, headers: { ...json, "accept-encoding": "gzip" }, body: "{}" });
    const said = zipped.headers["content-encoding"] ?? "identity";
    const isSame = plainBody(zipped) !== undefined;
    report.judge("W-1.13", isSame ? undefined : `a body that is not its Content-Encoding: ${said}`, said);
  } catch (error) {
    report.failWith("W-1.13", error);
  }
}

async function checkKeepAlive(subject: Subject, path: string): Promise<void> {
  // A request with a body first: what a server leaves unread of it is taken for the next request.
  const request = { path, headers: json, body: '{"aFieldOfLaterHosts":"0123456789"}' };
  await checkReuse(subject, request);
  // Chunks that are not read at all were told of already.
  const { report } = subject;
  if (!report.hasFailed("W-1.6", "W-1.14")) await checkReuse(subject, { ...request, chunked: true });
}

async function checkReuse({ http: plugin, report }: Subject, given: ProbeRequest): Promise<void> {
  const isTls = plugin.url.startsWith("https:");
  const agent = new (isTls ? https : http).Agent({ keepAlive: true, maxSockets: 1 });
  const request = { ...given, agent };
  try {
    const first = await plugin.send(request);
    const second = await plugin.send(request);
    const isOpen = !/\bclose\b/i.test(first.headers.connection ?? "");
    const problem =
      second.status !== first.status
        ? `${answerText(first)}, then on the same connection ${answerText(second)}`
        : isOpen && !second.reused
          ? "the connection was closed after an answer that did not say Connection: close"
          : undefined;
    const inChunks = given.chunked === true ? "after a request in chunks: " : "";
    const seen = second.reused ? "two answers on one connection" : "Connection: close";
    report.judge("W-1.14", problem === undefined ? undefined : inChunks + problem, seen);
  } catch (error) {
    report.failWith("W-1.14", error);
  } finally {
    agent.destroy();
  }
}

const connectCodes: readonly string[] = (
  "canceled unknown invalid_argument deadline_exceeded not_found already_exists permission_denied resource_exhausted " +
  "failed_precondition aborted out_of_range unimplemented internal unavailable data_loss unauthenticated"
).split(" ");

function errorProblem(answer: ProbeAnswer): string | undefined {
  if (answer.contentType !== "application/json") return answerText(answer);
  try {
    const { code } = JSON.parse(answer.body.toString("utf8")) as { code?: unknown };
    return typeof code === "string" && connectCodes.includes(code) ? undefined : answerText(answer);
  } catch {
    return answerText(answer);
  }
}
