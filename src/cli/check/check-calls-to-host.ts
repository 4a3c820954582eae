import type { GetPluginInfoResponse } from "../../gen/connectplugin/v1/identity_pb.js";
import type { CheckReport } from "./check-report.js";
import type { ClauseId } from "./clauses.js";
import type { ObservedCall, ObservedHost } from "./observed-host.js";

export const handshake = "HandshakeService/Handshake";
const register = "ServiceRegistry/RegisterService";
const reportHealth = "PluginLifecycle/ReportHealth";

/** Clauses of plugins that go to their host by themselves. */
const ofSelfRegistration: readonly ClauseId[] = [
  "W-2.4",
  "W-3.1",
  "W-4.2",
  "W-6.4",
  "W-6.11",
  "W-6.12",
  "W-6.13",
  "W-8.6",
];

/** No clause of self-registration applies, for this reason. */
export function skipSelfRegistration(report: CheckReport, reason: string): void {
  for (const clause of ofSelfRegistration) report.skip(clause, reason);
  report.skip("W-3.8", reason);
}

const failed = (call: ObservedCall): boolean => call.status !== undefined && call.status >= 400;

/** The call as a result shows it. */
const shown = ({ procedure, status, answer }: ObservedCall): string => {
  const body = answer.slice(answer.indexOf("\r\n\r\n") === -1 ? 0 : answer.indexOf("\r\n\r\n") + 4).trim();
  return `${procedure} was answered ${status}${body === "" ? "" : `: ${body}`}`;
};

/** Looks at how the plugin has spoken to its host so far. */
export function checkCallsToHost(report: CheckReport, { calls, prefix, registrations }: ObservedHost): void {
  const astray = calls.find(({ rawPath }) => !rawPath.startsWith(`${prefix}/`));
  report.judge("W-2.4", astray === undefined ? undefined : `a call of ${astray.rawPath}`, `all begin with ${prefix}`);
  const of = (name: string): ObservedCall[] => calls.filter(({ procedure }) => procedure === name);
  judgeAll(report, "W-3.1", of(handshake), "it made no handshake");
  const others = calls.filter(({ procedure }) => procedure !== handshake);
  const anonymous = others.find(({ hasIdentity, status }) => !hasIdentity || status === 401);
  report.judge(
    "W-4.2",
    anonymous === undefined
      ? undefined
      : `${shown(anonymous)}, ${anonymous.hasIdentity ? "with a wrong" : "without"} identity`,
    `${others.length} calls with identity`,
  );
  // Who is refused for the lack of an identity is not refused for what it says.
  const proven = (name: string): ObservedCall[] => of(name).filter(({ status }) => status !== 401);
  // Our SDK talks to its host over one connection, which is not looked into.
  if (registrations.length > 0) report.skip("W-8.6", "it made no report of its health by a call of its own");
  const none = "it registered nothing";
  // What it declares is beyond the limits, so that this is no news.
  if (report.hasFailed("W-5.2")) report.skip("W-6.13", "not looked at, because of what failed above");
  else if (proven(register).length > 0 || registrations.length === 0)
    judgeAll(report, "W-6.13", proven(register), none);
  else report.pass("W-6.13", `${registrations.length} accepted`);
  judgeAll(report, "W-8.6", proven(reportHealth), "it made no report of its health, and is polled");
}

function judgeAll(report: CheckReport, clause: ClauseId, calls: readonly ObservedCall[], none: string): void {
  const refused = calls.find(failed);
  if (refused !== undefined) report.fail(clause, shown(refused));
  else if (calls.length === 0) report.skip(clause, none);
  else report.pass(clause, `${calls.length === 1 ? "it was" : `all ${calls.length} were`} accepted`);
}

/** Compares what it has registered with what it declares and where it listens. */
export function checkRegistrations(
  report: CheckReport,
  { registrations }: ObservedHost,
  plugin: { readonly info: GetPluginInfoResponse | undefined; readonly port: number; readonly selfId?: string },
): void {
  const { info, port } = plugin;
  if (registrations.length === 0) report.skip("W-6.4", "it registered nothing");
  for (const { type, metadata } of registrations) {
    const { base_url: baseUrl } = metadata;
    report.judge("W-6.4", baseUrlProblem(type, baseUrl, port), `${baseUrl}`);
  }
  if (info === undefined) {
    for (const clause of ["W-6.11", "W-6.12"] as const) report.skip(clause, "it does not say what it provides");
    return;
  }
  const key = (service: { readonly type: string; readonly version: string; readonly path: string }): string =>
    `${service.type}@${service.version} at ${service.path.endsWith("/") ? service.path : `${service.path}/`}`;
  if (report.hasFailed("W-5.7")) return;
  const declared = info.provides.map(key);
  const registered = registrations.map(key);
  const list = (names: readonly string[]): string => (names.length === 0 ? "nothing" : names.join(", "));
  const more = registered.filter((name) => !declared.includes(name));
  report.judge(
    "W-6.11",
    more.length === 0 ? undefined : `it registered ${list(more)}, and declares ${list(declared)}`,
    list(registered),
  );
  const missing = declared.filter((name) => !registered.includes(name));
  const isExcused = report.hasFailed("W-2.4", "W-3.1", "W-4.2", "W-5.2", "W-6.13", "W-6.11");
  if (isExcused) report.skip("W-6.12", "not looked at, because of what failed above");
  else
    report.judge("W-6.12", missing.length === 0 ? undefined : `it did not register ${list(missing)}`, list(registered));
}

function baseUrlProblem(type: string, baseUrl: string | undefined, port: number): string | undefined {
  if (baseUrl === undefined) return `no base_url in the registration of ${type}: calls of it would be answered 503`;
  if (baseUrl.startsWith("unix:")) return undefined;
  try {
    const url = new URL(baseUrl);
    const isOwn = url.port === String(port);
    return isOwn ? undefined : `base_url ${baseUrl} of ${type}, while PORT is ${port}`;
  } catch {
    return `base_url ${baseUrl} of ${type} is no URL`;
  }
}
