import { PluginHostError } from "../errors.js";
import type { Clock } from "../internal/clock.js";
import { KeptProgram } from "./kept-program.js";
import { hashOfNonce, type LaunchNonces, type LaunchPass } from "./launch-nonces.js";
import { type LaunchRecord, sourceHash } from "./launch-record.js";
import { LaunchRecordFiles } from "./launch-record-files.js";
import { startOfProcess } from "./process-identity.js";
import type { ResolvedProcessSource } from "./process-source.js";
import { RecordedGroup } from "./recorded-group.js";
import { StateDirLock } from "./state-dir-lock.js";

/** Settings of a {@link LaunchState}. */
export interface LaunchStateOptions {
  readonly folder: string;
  readonly clock: Clock;
  readonly nonces: LaunchNonces;
  /** Told of what was found, for people. */
  readonly warn: (message: string, error?: unknown) => void;
}

/** What is known of a program when it was started. */
export interface RecordedStart {
  readonly pass: LaunchPass;
  readonly pid: number;
  readonly port: number;
  readonly source: ResolvedProcessSource;
  /** Without the nonce. */
  readonly hostUrl: string;
  /** Whether the program was told the nonce. */
  readonly hasNonce: boolean;
}

/** A kept program of an earlier host that this one has taken up. */
export interface TakenUp {
  readonly program: KeptProgram;
  readonly pass: LaunchPass;
  readonly port: number;
}

/** A kept program that nobody took up, and that was stopped. */
export interface SweptProgram {
  readonly pid: number;
  readonly command: string;
}

interface KeptLaunch {
  readonly record: LaunchRecord;
  readonly pass: LaunchPass;
}

/**
 * What outlives the host's process: a record for each program that runs. When a host begins with the records of an earlier one,
 * leftovers that were not to be kept are killed, and those that were wait to be taken up.
 */
export class LaunchState {
  readonly #options: LaunchStateOptions;
  readonly #files: LaunchRecordFiles;
  readonly #kept = new Map<string, KeptLaunch>();
  #opening: Promise<void> | undefined;
  #lock: StateDirLock | undefined;
  #isClosed = false;

  constructor(options: LaunchStateOptions) {
    this.#options = options;
    this.#files = new LaunchRecordFiles(options.folder);
  }

  /**
   * Takes the folder and looks at what an earlier host left. The first call does it; the others wait for that.
   *
   * @throws PluginHostError `STATE_DIR_IN_USE`; `INVALID_ARGUMENT` for a folder that cannot be used
   */
  open(): Promise<void> {
    this.#opening ??= this.#open().catch((error: unknown) => {
      // Whoever tries again may find that the other host has stopped, or that the folder is in order.
      this.#opening = undefined;
      this.#lock?.release();
      this.#lock = undefined;
      throw error;
    });
    return this.#opening;
  }

  /** Writes down a program that has just been started. */
  started({ pass, pid, port, source, hostUrl, hasNonce }: RecordedStart): void {
    if (this.#lock === undefined) return;
    this.#files.write({
      launchId: pass.launchId,
      pid,
      groupId: pid,
      startedAt: startOfProcess(pid) ?? "",
      nonceHash: hasNonce ? hashOfNonce(pass.nonce) : "",
      hostUrl,
      port,
      command: source.command,
      sourceHash: sourceHash(source),
      onHostExit: source.onHostExit,
    });
  }

  /** The program has ended, and nothing of it is left. */
  ended(launchId: string): void {
    if (this.#lock !== undefined) this.#files.remove(launchId);
  }

  /** A kept program that was started as `source` says, and calls the host at `hostUrl`; undefined if there is none. */
  async takeUp(source: ResolvedProcessSource, hostUrl: string): Promise<TakenUp | undefined> {
    if (source.onHostExit !== "keep") return undefined;
    const wanted = sourceHash(source);
    for (const [launchId, { record, pass }] of [...this.#kept]) {
      if (record.sourceHash !== wanted || !this.#kept.delete(launchId)) continue;
      const group = new RecordedGroup(record);
      if (record.hostUrl !== hostUrl) {
        await this.#sweep(
          record,
          group,
          pass,
          `it looks for its host at ${record.hostUrl}, which is at ${hostUrl} now`,
        );
        continue;
      }
      if ((await group.leader()) === "ours") {
        const { pid, startedAt, port } = record;
        return { program: new KeptProgram({ pid, startedAt, group, clock: this.#options.clock }), pass, port };
      }
      await this.#sweep(record, group, pass, "it has ended and left others behind");
    }
    return undefined;
  }

  /** Stops the kept programs that nobody has taken up, each within `graceMs`. */
  async sweepKept(graceMs: number): Promise<SweptProgram[]> {
    await this.open();
    const left = [...this.#kept.values()];
    this.#kept.clear();
    const stopped = left.map(async ({ record, pass }) => {
      const { pid, startedAt, command } = record;
      const program = new KeptProgram({
        pid,
        startedAt,
        group: new RecordedGroup(record),
        clock: this.#options.clock,
      });
      await program.stop(graceMs);
      program.leave();
      pass.revoke();
      this.ended(record.launchId);
      return { pid, command };
    });
    return Promise.all(stopped);
  }

  /** Lets another host have the folder. Records of programs that still run stay. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#lock?.release();
    this.#lock = undefined;
  }

  async #open(): Promise<void> {
    if (this.#isClosed) throw new PluginHostError("HOST_STOPPED", "the host has stopped");
    this.#files.prepare();
    this.#lock = StateDirLock.take(this.#options.folder);
    const records = this.#files.readAll((setAside) =>
      this.#options.warn(`a launch record could not be read, and was set aside as ${setAside}`),
    );
    await Promise.all(records.map((record) => this.#meet(record)));
  }

  /** Decides what becomes of what an earlier host started. */
  async #meet(record: LaunchRecord): Promise<void> {
    const { pid, command, launchId, onHostExit } = record;
    const group = new RecordedGroup(record);
    const leader = await group.leader();
    if (leader === "unclear") {
      this.#options.warn(
        `process ${pid} may be ${command} of an earlier host, which cannot be told for certain, so it is left alone; look at it, and end it`,
      );
      return;
    }
    const nonce = onHostExit === "keep" && leader === "ours" ? await group.nonce() : undefined;
    const { nonces } = this.#options;
    if (nonce === undefined) return this.#sweep(record, group, undefined, "an earlier host left it");
    const pass = nonce === "" ? { ...nonces.issue(), launchId } : nonces.restore(launchId, nonce);
    this.#kept.set(launchId, { record, pass });
  }

  /** Kills what is left of a launch, and forgets it. */
  async #sweep(record: LaunchRecord, group: RecordedGroup, pass: LaunchPass | undefined, why: string): Promise<void> {
    const { pid, startedAt, command, launchId } = record;
    pass?.revoke();
    const before = await group.members();
    if (before.length > 0) {
      const program = new KeptProgram({ pid, startedAt, group, clock: this.#options.clock });
      await program.stop(0);
      program.leave();
      const left = await group.members();
      const what = `${command} (processes ${before.join(", ")})`;
      if (left.length > 0) {
        this.#options.warn(`${what} could not be killed: ${left.join(", ")} still run; ${why}`);
        return;
      }
      this.#options.warn(`${what} was killed: ${why}`);
    }
    this.ended(launchId);
  }
}
