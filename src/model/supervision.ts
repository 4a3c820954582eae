/** What it means for the host when a plugin does not run; see the guide on supervision. */
export type Importance = "required" | "degrade" | "optional";

/** What the host does about a plugin's end. */
export type Supervision =
  /** The host did not start it, so it sees no end of it and cannot start it again. */
  | { readonly kind: "unsupervised" }
  /** It runs. `restarts`: how often it was started again since its last long run or release. */
  | { readonly kind: "running"; readonly restarts: number }
  /** It ended, or did not start. It is started again at `nextAt`, in milliseconds since 1970. */
  | { readonly kind: "restarting"; readonly attempt: number; readonly nextAt: number; readonly lastError: string }
  /** It is being started again: by its schedule, or because an operator released it. */
  | {
      readonly kind: "starting";
      readonly attempt: number;
      readonly by: "schedule" | "operator";
      readonly lastError: string;
    }
  /** It ended too often in too short a time, and is not started again before it is released or replaced. */
  | {
      readonly kind: "quarantined";
      readonly since: number;
      readonly crashes: number;
      readonly reason: string;
      readonly lastError: string;
    }
  /** It ended, and is not to be started again by itself. */
  | { readonly kind: "ended"; readonly since: number; readonly reason: string; readonly lastError: string };

/** A state of a plugin that does not run. */
export type DownState = Exclude<Supervision, { readonly kind: "unsupervised" | "running" }>;

/** What holds for plugins that the host does not start. */
export const unsupervised: Supervision = Object.freeze({ kind: "unsupervised" });

/** Whether the plugin does not run, as far as the host knows. */
export const isDown = (supervision: Supervision): supervision is DownState =>
  supervision.kind !== "unsupervised" && supervision.kind !== "running";

// Nobody knows when an operator comes.
const withoutScheduleMs = 30_000;

/** When it is worth to ask for a plugin again that does not run, in milliseconds from `now`; undefined for soon. */
export function worthAskingInMs(supervision: Supervision, now: number): number | undefined {
  switch (supervision.kind) {
    case "restarting":
      return Math.max(0, supervision.nextAt - now);
    case "quarantined":
    case "ended":
      return withoutScheduleMs;
    default:
      return undefined;
  }
}
