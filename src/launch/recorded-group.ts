import { hashOfNonce } from "./launch-nonces.js";
import type { LaunchRecord } from "./launch-record.js";
import { groupMembers } from "./process-group.js";
import { hasProcess, startOfProcess, variableOf } from "./process-identity.js";

/** A process that was looked at, and when it began. */
interface SeenProcess {
  readonly pid: number;
  readonly startedAt: string;
}

/** The part of a record that tells whose a process is. */
export type GroupRecord = Pick<LaunchRecord, "pid" | "groupId" | "startedAt" | "nonceHash" | "hostUrl" | "port">;

const prefixPattern = /^(.*)\/_launch\/([\w-]+)$/;

/**
 * The processes of a launch of an earlier host, which are no children of this one. A process belongs to it only if it is in
 * the launch's group and was started with the launch's nonce in HOST_URL; the program itself must have begun at the recorded time,
 * too. Ids that are in use again never fit.
 */
export class RecordedGroup {
  readonly #record: GroupRecord;

  constructor(record: GroupRecord) {
    this.#record = record;
  }

  /** Whether the program itself, or what has its id now, is certainly the launch's, certainly not, or cannot be told. */
  async leader(): Promise<"ours" | "gone" | "unclear"> {
    const { pid, startedAt } = this.#record;
    const now = startOfProcess(pid);
    if (startedAt === "") return hasProcess(pid) ? "unclear" : "gone";
    if (now !== startedAt) return "gone";
    if (await this.#isMarked(pid)) return "ours";
    return startOfProcess(pid) === startedAt ? "unclear" : "gone";
  }

  /** The nonce that the program was started with; empty if it got none. Undefined if the program is not `ours`. */
  async nonce(): Promise<string | undefined> {
    if ((await this.leader()) !== "ours") return undefined;
    const url = await variableOf(this.#record.pid, "HOST_URL");
    return url === undefined ? undefined : (prefixPattern.exec(url)?.[2] ?? "");
  }

  /** Ids of all processes of the launch that are alive. */
  async members(): Promise<number[]> {
    return (await this.#seen()).map(({ pid }) => pid);
  }

  /** Sends each of them a signal. Resolves with how many there were. */
  async signal(name: "SIGTERM" | "SIGKILL"): Promise<number> {
    const seen = await this.#seen();
    for (const { pid, startedAt } of seen) {
      // Looked at once more right before: nothing comes between these two lines.
      if (startOfProcess(pid) !== startedAt) continue;
      try {
        process.kill(pid, name);
      } catch {
        // It has ended, or is not this user's any more.
      }
    }
    return seen.length;
  }

  async #seen(): Promise<SeenProcess[]> {
    const { pid: leader, groupId, startedAt: begun } = this.#record;
    if (begun === "") return [];
    const now = startOfProcess(leader);
    // The system gives an id away again only when nobody has it any more, neither for himself nor for his group.
    if (now !== undefined && now !== begun) return [];
    const found = (await groupMembers(groupId)).map(async (pid): Promise<SeenProcess | undefined> => {
      const startedAt = startOfProcess(pid);
      if (startedAt === undefined) return undefined;
      return (await this.#isMarked(pid)) ? { pid, startedAt } : undefined;
    });
    return (await Promise.all(found)).filter((process) => process !== undefined);
  }

  /** Whether the process was started with what the launch's program got. */
  async #isMarked(pid: number): Promise<boolean> {
    const { nonceHash, hostUrl, port } = this.#record;
    const url = await variableOf(pid, "HOST_URL");
    if (url === undefined) return false;
    // A host on a Unix socket has no place for a nonce; its address and the port are all there is.
    if (nonceHash === "") return url === hostUrl && (await variableOf(pid, "PORT")) === String(port);
    const [, origin, nonce = ""] = prefixPattern.exec(url) ?? [];
    return origin === hostUrl && hashOfNonce(nonce) === nonceHash;
  }
}
