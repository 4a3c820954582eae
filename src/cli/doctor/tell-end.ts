import type { Platform, PluginView } from "../../index.js";
import type { CallsToPlugin } from "./calls-to-plugin.js";
import type { DoctorSection, Finding } from "./doctor-report.js";
import { type Examination, start } from "./examination.js";
import { isGroupAlive } from "./group-alive.js";
import type { StartWatch } from "./start-watch.js";
import { secondsText } from "./tell-plugin.js";
import { within } from "./within.js";

/** Processes that were killed may take a moment to be gone. */
const goneWithinMs = 1_000;
const looksEveryMs = 10;

const killedHint =
  "Let the program end by itself when it is asked to (Shutdown), and on SIGTERM: close the server, then exit. See docs/guides/processes.md.";

/** Ends a program as a host does, then another run of it by SIGTERM alone, and looks whether anything is left. */
export async function tellEnd(
  section: DoctorSection,
  {
    platform,
    exam,
    watch,
    calls,
    view,
  }: {
    readonly platform: Platform;
    readonly exam: Examination;
    readonly watch: StartWatch;
    readonly calls: CallsToPlugin;
    readonly view: PluginView;
  },
): Promise<void> {
  const { graceMs, signal } = exam;
  const limits = { graceMs: 0, drainMs: 0, shutdownMs: graceMs };
  exam.progress("asking it to end");
  const startedAt = performance.now();
  await platform.removePlugin(view.runtimeId, { limits });
  section.put("shutdown", shutdownFinding(calls.last("Shutdown")?.status, performance.now() - startedAt, graceMs));
  signal.throwIfAborted();
  exam.progress("starting it again, for SIGTERM");
  const again = await start(platform, exam, watch);
  if (again.view?.pid === undefined) {
    section.put("sigterm", {
      status: "fail",
      seen: "it started once, and not a second time",
      message: again.error?.message,
      code: again.error?.code,
      hint: "Look for what its first run left behind: a lock, a file, a socket.",
    });
  } else {
    section.put("sigterm", await sigterm(platform, again.view.runtimeId, again.view.pid, graceMs));
    // It may be gone already.
    await platform.removePlugin(again.view.runtimeId, { limits: { ...limits, shutdownMs: 0 } }).catch(() => {});
  }
  const pids = [view.pid, again.view?.pid].filter((pid) => pid !== undefined);
  const left = await groupsLeft(pids);
  if (left.length === 0) section.ok("leftovers", "no process of it is left");
  else
    section.put("leftovers", {
      status: "fail",
      seen: `process groups ${left.join(", ")} have processes that run on`,
      hint: "Look at them with ps -o pid,pgid,args.",
    });
}

function shutdownFinding(status: number | undefined, tookMs: number, graceMs: number): Finding {
  const took = secondsText(tookMs);
  if (tookMs >= graceMs) {
    return {
      status: "fail",
      seen: `it ran on after Shutdown and SIGTERM, and was killed after ${took}`,
      hint: killedHint,
    };
  }
  if (status !== 200 && status !== undefined) {
    return { status: "ok", seen: `it has no Shutdown, and ended on SIGTERM`, durationMs: tookMs };
  }
  // The host waits for half of the time before it sends SIGTERM to one that said that it is leaving.
  if (tookMs < graceMs / 4 || (status === 200 && tookMs < graceMs / 2)) {
    return { status: "ok", seen: "acknowledged, and ended by itself", durationMs: tookMs };
  }
  const what = status === 200 ? "acknowledged, but it ended only on SIGTERM" : "not answered; it ended on SIGTERM";
  return { status: "warn", seen: `${what}, after ${took}`, hint: "After Shutdown the program should end by itself." };
}

async function sigterm(platform: Platform, runtimeId: string, pid: number, graceMs: number): Promise<Finding> {
  const startedAt = performance.now();
  const ended = new Promise<string>((resolve) => {
    platform.on("health", (event) => {
      if (event.runtimeId === runtimeId && event.health.state === "unhealthy") resolve(event.health.reason);
    });
    platform.on("plugin-removed", ({ plugin, reason }) => {
      if (plugin.runtimeId === runtimeId) resolve(reason);
    });
  });
  try {
    process.kill(pid, "SIGTERM");
  } catch {
    // It ended a moment ago, and the host is about to say so.
  }
  const how = await within(ended, graceMs);
  const tookMs = performance.now() - startedAt;
  if (how !== undefined) return { status: "ok", seen: how.split("; ")[0] ?? how, durationMs: tookMs };
  return {
    status: "fail",
    seen: `it ran on for ${secondsText(tookMs)} after SIGTERM, and was killed`,
    hint: killedHint,
  };
}

async function groupsLeft(groups: readonly number[]): Promise<readonly number[]> {
  const endsAt = performance.now() + goneWithinMs;
  for (;;) {
    const isThere = await Promise.all(groups.map(isGroupAlive));
    const left = groups.filter((_, index) => isThere[index]);
    if (left.length === 0 || performance.now() > endsAt) return left;
    // Nobody tells when processes are gone that are not one's own children.
    await within(new Promise(() => {}), looksEveryMs);
  }
}
