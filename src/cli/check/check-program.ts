import type { GetPluginInfoResponse } from "../../gen/connectplugin/v1/identity_pb.js";
import { checkAdded } from "./check-added.js";
import { checkCallsToHost, checkRegistrations, handshake, skipSelfRegistration } from "./check-calls-to-host.js";
import { checkShutdown, checkSigterm } from "./check-end.js";
import { meet } from "./check-info.js";
import { checkListening } from "./check-listening.js";
import { checkSecrecy } from "./check-managed.js";
import type { CheckReport } from "./check-report.js";
import { DecoyHost } from "./decoy-host.js";
import { ObservedHost } from "./observed-host.js";
import { PluginHttp } from "./plugin-http.js";
import { PluginProgram, type ProgramSpec } from "./plugin-program.js";
import { addStandIns, type Needed } from "./stand-in.js";
import type { Subject } from "./subject.js";

/** How a check is done. */
export interface CheckTimes {
  /** Limit of each wait for the plugin. */
  readonly timeoutMs: number;
  /** What the plugin gets to end. */
  readonly graceMs: number;
}

/** What one start of the program has shown that later ones build on. */
interface Shown {
  readonly info: GetPluginInfoResponse | undefined;
  readonly isListening: boolean;
}

/** How long a plugin may take from its first answer to its handshake before it counts as one that registers nothing. */
const joinsWithinMs = 3_000;
/** How long it may take from one call of its to the next. */
const goesOnWithinMs = 1_000;
/** How long a program that listens without a host is watched before it counts as one that stays. */
const staysForMs = 200;
/** How long what a program wrote may take from its end until it is read. */
const outputWithinMs = 500;
/** How long a plugin is watched after its handshake was refused. */
const temptedForMs = 1_000;

/** Checks a program in four starts of it: without a host, with one, with a wrong one, and by a host. */
export class ProgramCheck {
  readonly #spec: ProgramSpec;
  readonly #report: CheckReport;
  readonly #times: CheckTimes;
  #needed: readonly Needed[];

  constructor(spec: ProgramSpec, report: CheckReport, times: CheckTimes, standIns: readonly Needed[]) {
    this.#spec = spec;
    this.#report = report;
    this.#times = times;
    this.#needed = standIns;
  }

  async run(): Promise<void> {
    const alone = await this.#withoutHost();
    const requires = alone.info?.requires ?? [];
    this.#needed = [...requires.map(({ type, minVersion: version }) => ({ type, version })), ...this.#needed];
    const joins = await this.#withHost(alone);
    if (joins) await this.#withWrongHost();
    if (this.#report.hasFailed()) return;
    await using host = await ObservedHost.open();
    await addStandIns(host.platform, this.#needed);
    const { command, cwd, env } = this.#spec;
    const [program, ...args] = command;
    await checkAdded(this.#report, "W-11.2", host, { command: program, args, cwd, env }, this.#times);
  }

  /** As a program that is told later where its host is: nearly everything is tried here, and SIGTERM at the end. */
  async #withoutHost(): Promise<Shown> {
    const report = this.#report;
    const { timeoutMs, graceMs } = this.#times;
    await using program = await PluginProgram.start(this.#spec, undefined);
    const isThere = (await program.untilListening(timeoutMs)) && !(await program.untilEnded(staysForMs));
    if (!isThere) {
      const how = program.hasEnded ? `it ${program.ending}` : `it did not open PORT within ${timeoutMs} ms`;
      report.skip("W-2.3", `${how} without HOST_URL; it has to be told where its host is`);
      return { info: undefined, isListening: false };
    }
    report.pass("W-2.3", "it listens and stays");
    await this.#checkSockets(program);
    await using host = await ObservedHost.open();
    const subject = await meet(new PluginHttp(program.url, timeoutMs), report, "not known yet");
    if (subject === undefined) return { info: undefined, isListening: true };
    const tokens = await checkListening(subject, host);
    await checkSigterm(report, program, graceMs);
    checkSecrecy(report, tokens, await program.lastOutput(outputWithinMs));
    return { info: subject.info, isListening: true };
  }

  /** As a program that registers itself. Whether it has spoken to its host. */
  async #withHost(alone: Shown): Promise<boolean> {
    await using host = await ObservedHost.open();
    await addStandIns(host.platform, this.#needed);
    host.recordRegistrations();
    await using program = await PluginProgram.start(this.#spec, host.pluginUrl);
    const tokens: string[] = [];
    const hasJoined = await this.#joining(alone, host, program, tokens);
    checkSecrecy(this.#report, [...tokens, ...host.tokens], await program.lastOutput(outputWithinMs));
    return hasJoined;
  }

  /** Adds to `tokens` what it was given by others than its handshake. */
  async #joining(alone: Shown, host: ObservedHost, program: PluginProgram, tokens: string[]): Promise<boolean> {
    const report = this.#report;
    const { timeoutMs, graceMs } = this.#times;
    const isListening = await program.untilListening(timeoutMs);
    const hasJoined = await this.#untilJoined(host, program, alone);
    if (hasJoined) checkCallsToHost(report, host);
    else skipSelfRegistration(report, "it did not speak to the host in HOST_URL: it is a managed plugin");
    if (!isListening) {
      if (!report.hasFailed()) report.fail("W-11.1", this.#silence(program, timeoutMs));
      return hasJoined;
    }
    if (!alone.isListening) {
      // What registers itself may need a host. What only listens has nothing to do with HOST_URL.
      if (!hasJoined) report.fail("W-2.3", "it needs HOST_URL to listen, and does not call the host that is there");
      await this.#checkSockets(program);
    }
    const http = new PluginHttp(program.url, timeoutMs, () => host.hostSecret);
    let subject: Subject | undefined = { http, report, probe: undefined, info: alone.info };
    if (!alone.isListening || (alone.info === undefined && !report.hasFailed("W-1.2"))) {
      subject = await meet(http, report, host.registrations.length > 0);
      if (subject === undefined) return hasJoined;
      // What has an identity of its own keeps it.
      tokens.push(...(await checkListening(subject, hasJoined ? undefined : host)));
    }
    if (hasJoined) {
      const { info } = subject;
      checkRegistrations(report, host, { info, port: program.port });
    }
    await checkShutdown(subject, program, graceMs);
    // What has no Shutdown is ended too: some programs write what they have to say only then.
    if (!alone.isListening || !report.hasFailed("W-12.5")) await checkSigterm(report, program, graceMs);
    return hasJoined;
  }

  /** At an address where a host refuses its handshake. */
  async #withWrongHost(): Promise<void> {
    await using decoy = await DecoyHost.open();
    await using program = await PluginProgram.start(this.#spec, decoy.url);
    const { timeoutMs } = this.#times;
    await program.untilListening(timeoutMs);
    const ended = program.untilEnded(timeoutMs + temptedForMs);
    await decoy.until(() => decoy.paths.length > 0, timeoutMs, ended);
    await decoy.until(() => decoy.others.length > 0, temptedForMs, ended);
    const [first] = decoy.others;
    const problem = first === undefined ? undefined : `after the refusal it called ${first}`;
    this.#report.judge("W-3.8", problem, program.hasEnded ? `it ${program.ending}` : "it made no other call");
  }

  async #untilJoined(host: ObservedHost, program: PluginProgram, { info, isListening }: Shown): Promise<boolean> {
    const { timeoutMs } = this.#times;
    // Of what does not listen without a host it is expected.
    const joinsMs = isListening ? Math.min(joinsWithinMs, timeoutMs) : timeoutMs;
    const ended = new AbortController();
    void program.untilEnded(timeoutMs).then((hasEnded) => hasEnded && ended.abort());
    await host.until(() => host.calls.length > 0, joinsMs, ended.signal);
    if (host.calls.length === 0) return false;
    // The answer to the last call may still be on its way, and a report of health follows the registrations.
    const isDone = (): boolean =>
      host.calls.some(({ procedure, status }) => procedure !== handshake && (status ?? 0) >= 400) ||
      host.calls.some(({ procedure, status }) => procedure === handshake && (status ?? 0) >= 400) ||
      host.registrations.length >= Math.max(1, info?.provides.length ?? 1);
    const isInTime = await host.until(isDone, Math.min(timeoutMs, joinsWithinMs), ended.signal);
    if (isInTime) await host.until(() => host.calls.some(isReport), goesOnWithinMs, ended.signal);
    await host.until(() => host.calls.every(isAnswered), goesOnWithinMs, ended.signal);
    return true;
  }

  async #checkSockets(program: PluginProgram): Promise<void> {
    this.#report.pass("W-11.1", `it listens on ${program.port}`);
    const { tried, at } = await program.openElsewhere();
    if (tried === 0) this.#report.skip("W-11.6", "this machine has no other address to try it with");
    else this.#report.judge("W-11.6", at === undefined ? undefined : `it listens on ${at} as well`, "127.0.0.1 only");
  }

  #silence(program: PluginProgram, timeoutMs: number): string {
    const how = program.hasEnded ? `it ${program.ending}` : `nothing listened on PORT within ${timeoutMs} ms`;
    const said = program.output.trim().split("\n").slice(-3).join(" | ");
    return said === "" ? `${how}, and wrote nothing` : `${how}; its last lines: ${said}`;
  }
}

const isReport = ({ procedure }: { readonly procedure: string }): boolean =>
  procedure === "PluginLifecycle/ReportHealth";
/** Watches go on for ever. */
const isAnswered = ({
  procedure,
  status,
}: {
  readonly procedure: string;
  readonly status: number | undefined;
}): boolean => status !== undefined || procedure === "ServiceRegistry/WatchService";
