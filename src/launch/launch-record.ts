import { createHash } from "node:crypto";
import type { ResolvedProcessSource } from "./process-source.js";

/** What is written down of a launch, so that a later host knows its program again. */
export interface LaunchRecord {
  readonly launchId: string;
  readonly pid: number;
  /** The process group; the program leads it. */
  readonly groupId: number;
  /** As `startOfProcess` tells it; empty on systems that do not tell. */
  readonly startedAt: string;
  /** SHA-256 of the launch's nonce in base64; empty if the program's HOST_URL has no place for one. */
  readonly nonceHash: string;
  /** As the program was told, without the nonce. */
  readonly hostUrl: string;
  readonly port: number;
  readonly command: string;
  /** See {@link sourceHash}. */
  readonly sourceHash: string;
  readonly onHostExit: "stop" | "keep";
}

const version = 1;

/** Equal exactly for sources that start the same program in the same way. A hash, as variables may hold secrets. */
export function sourceHash({ command, args, env, cwd, onHostExit }: ResolvedProcessSource): string {
  const variables = Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256")
    .update(JSON.stringify([command, args, variables, cwd, onHostExit]))
    .digest("base64");
}

/** A record as it stands in its file. */
export const toText = (record: LaunchRecord): string => `${JSON.stringify({ version, ...record })}\n`;

const texts = ["launchId", "startedAt", "nonceHash", "hostUrl", "command", "sourceHash"] as const;

/** Undefined for what is no record. */
export function fromText(text: string): LaunchRecord | undefined {
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof given !== "object" || given === null) return undefined;
  const { version: written, ...record } = given as Record<string, unknown>;
  const { pid, groupId, port, onHostExit } = record;
  const isRecord =
    written === version &&
    texts.every((name) => typeof record[name] === "string") &&
    [pid, groupId, port].every((number) => Number.isSafeInteger(number)) &&
    // Signals to 0, 1 and negative numbers go to more than one process, or to the first of all.
    (pid as number) > 1 &&
    groupId === pid &&
    (onHostExit === "stop" || onHostExit === "keep");
  return isRecord ? (record as unknown as LaunchRecord) : undefined;
}
