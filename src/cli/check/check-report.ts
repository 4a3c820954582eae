import { type ClauseId, clauseIds, clauses } from "./clauses.js";
import { NoAnswer } from "./plugin-http.js";

/** How one clause came out. */
export interface ClauseResult {
  readonly clause: ClauseId;
  readonly title: string;
  readonly status: "pass" | "fail" | "not-applicable";
  /** What was seen; of a clause that does not apply, why. */
  readonly seen: string;
  readonly expected: string;
  readonly advice: string;
}

type Verdict = Pick<ClauseResult, "status" | "seen">;

/** Longest text of others in a result. */
const maxSeenChars = 400;

/** Collects one result for each clause. A failure stays; what does not apply says less than a pass. */
export class CheckReport {
  readonly #verdicts = new Map<ClauseId, Verdict>();

  pass(clause: ClauseId, seen: string): void {
    if (this.#verdicts.get(clause)?.status !== "fail") this.#set(clause, "pass", seen);
  }

  /** The first failure of a clause stays. */
  fail(clause: ClauseId, seen: string): void {
    if (this.#verdicts.get(clause)?.status !== "fail") this.#set(clause, "fail", seen);
  }

  /** Fails with what was thrown; a plugin that has gone because of something else does not fail once more. */
  failWith(clause: ClauseId, error: unknown): void {
    const isGone = error instanceof NoAnswer && error.kind === "gone";
    if (isGone && this.hasFailed()) this.skip(clause, "it did not answer any more, after what failed elsewhere");
    else this.fail(clause, error instanceof Error ? error.message : String(error));
  }

  /** The clause does not apply, for this reason, unless something is known of it. */
  skip(clause: ClauseId, reason: string): void {
    if (!this.#verdicts.has(clause)) this.#set(clause, "not-applicable", reason);
  }

  /** Passes if `problem` is undefined, otherwise fails with it. */
  judge(clause: ClauseId, problem: string | undefined, seen: string): void {
    if (problem === undefined) this.pass(clause, seen);
    else this.fail(clause, problem);
  }

  /** Whether one of these, or any clause if none is given, has failed. */
  hasFailed(...of: readonly ClauseId[]): boolean {
    return (of.length === 0 ? clauseIds : of).some((clause) => this.#verdicts.get(clause)?.status === "fail");
  }

  /** Every clause, in order. */
  results(): ClauseResult[] {
    return clauseIds.map((clause) => {
      const { status, seen } = this.#verdicts.get(clause) ?? {
        status: "not-applicable",
        seen: this.hasFailed() ? "not reached, because of what failed elsewhere" : "there was nothing to look at",
      };
      return { clause, status, seen, ...clauses[clause] };
    });
  }

  #set(clause: ClauseId, status: Verdict["status"], seen: string): void {
    const cut = seen.length > maxSeenChars ? `${seen.slice(0, maxSeenChars)}…` : seen;
    this.#verdicts.set(clause, { status, seen: cut });
  }
}
