import { fromBinary, toJsonString } from "@bufbuild/protobuf";
import { type GetPluginInfoResponse, GetPluginInfoResponseSchema } from "../../gen/connectplugin/v1/identity_pb.js";
import { Platform } from "../../index.js";
import type { CheckReport } from "./check-report.js";
import { answerText, NoAnswer, type PluginHttp, type ProbeAnswer } from "./plugin-http.js";
import { isMissing, procedures, readInfo, type Subject, textOf } from "./subject.js";

/**
 * The first question: whether something answers, and who it is. Undefined if nothing that speaks HTTP/1.1 is there.
 * `isKnownOtherwise` says whether the plugin has registered itself.
 */
export async function meet(
  http: PluginHttp,
  report: CheckReport,
  isKnownOtherwise: boolean | "not known yet",
): Promise<Subject | undefined> {
  let answer: ProbeAnswer;
  try {
    answer = await http.ask(procedures.info);
  } catch (error) {
    // Something of an answer came: what is wrong is how it ends.
    const isBroken = error instanceof NoAnswer && error.kind === "broken";
    if (isBroken) report.pass("W-1.2", "the head of an answer");
    report.failWith(isBroken ? "W-1.14" : "W-1.2", error);
    return undefined;
  }
  report.pass("W-1.2", `status ${answer.status}`);
  if (answer.status === 200) {
    const info = readOwnInfo(answer, report);
    const subject = { http, report, probe: procedures.info, info };
    await checkSameInfo(subject);
    return subject;
  }
  if (!isMissing(answer)) report.fail("W-5.1", answerText(answer));
  else if (isKnownOtherwise === true)
    report.skip("W-5.1", "it has no PluginIdentity, and says who it is when it registers");
  else if (await answers(http, procedures.handshake)) report.skip("W-5.1", "it serves the handshake itself");
  else if (isKnownOtherwise === false) report.fail("W-5.1", answerText(answer));
  const probe = (await answers(http, procedures.health)) ? procedures.health : undefined;
  return { http, report, probe, info: undefined };
}

async function answers(http: PluginHttp, path: string): Promise<boolean> {
  const answer = await http.ask(path).catch(() => undefined);
  return answer !== undefined && !isMissing(answer);
}

function readOwnInfo(answer: ProbeAnswer, report: CheckReport): GetPluginInfoResponse | undefined {
  const isJson = answer.contentType === "application/json";
  report.judge("W-1.7", isJson ? undefined : answerText(answer), "application/json");
  try {
    const info = readInfo(answer.body);
    report.judge("W-5.1", info.selfId === "" ? `no selfId: ${answerText(answer)}` : undefined, info.selfId);
    if (info.selfId !== "") report.judge("W-5.2", limitProblem(info), "all fields are within the limits");
    return info;
  } catch (error) {
    report.fail("W-5.1", `${answerText(answer)} (${textOf(error)})`);
    return undefined;
  }
}

/** What a host has against the info: the very check that it makes when it adds a plugin. */
function limitProblem({
  selfId,
  selfVersion,
  provides,
  requires,
  metadata,
}: GetPluginInfoResponse): string | undefined {
  const declared = {
    selfId,
    selfVersion,
    provides: provides.map(({ type, version, path }) => ({ type, version, path })),
    requires: requires.map(({ type, minVersion }) => ({ type, minVersion, required: false })),
    metadata,
  };
  try {
    new Platform().plan({ add: declared });
    return undefined;
  } catch (error) {
    return textOf(error);
  }
}

/** Whether it says the same in binary, and speaks binary properly. Answers in other content types than JSON are allowed. */
export async function checkBinaryInfo({ http, report, info, probe }: Subject): Promise<void> {
  if (probe === undefined) return;
  const binary = { "content-type": "application/proto" };
  let answer: ProbeAnswer;
  try {
    answer = await http.send({ path: probe, headers: binary });
  } catch (error) {
    return report.failWith("W-1.5", error);
  }
  if (answer.status === 415) {
    for (const clause of ["W-1.5", "W-5.6"] as const) report.skip(clause, "it speaks JSON only, and says so with 415");
    return;
  }
  report.judge("W-1.5", answer.status === 200 ? undefined : answerText(answer), "status 200");
  if (answer.status !== 200) return;
  const isProto = answer.contentType === "application/proto";
  if (!isProto) report.fail("W-1.7", `an answer to application/proto: ${answerText(answer)}`);
  if (!isProto || info === undefined || probe !== procedures.info || report.hasFailed("W-5.1", "W-5.7")) return;
  try {
    const text = (message: GetPluginInfoResponse): string => toJsonString(GetPluginInfoResponseSchema, message);
    const said = text(fromBinary(GetPluginInfoResponseSchema, answer.body));
    report.judge("W-5.6", said === text(info) ? undefined : `${said} instead of ${text(info)}`, "the same message");
  } catch (error) {
    report.fail("W-5.6", `bytes that are no GetPluginInfoResponse: ${textOf(error)}`);
  }
}

/** Whether it says what it said at first. */
export async function checkSameInfo({ http, report, info }: Subject): Promise<void> {
  if (info === undefined) return;
  const text = (message: GetPluginInfoResponse): string => toJsonString(GetPluginInfoResponseSchema, message);
  try {
    const now = readInfo((await http.ask(procedures.info)).body);
    report.judge("W-5.7", text(now) === text(info) ? undefined : `first ${text(info)}, then ${text(now)}`, "the same");
  } catch (error) {
    report.failWith("W-5.7", error);
  }
}
