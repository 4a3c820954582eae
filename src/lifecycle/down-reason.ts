import type { DownState } from "../model/supervision.js";

/**
 * Why a plugin does not run and what becomes of it, as callers of it and watchers get to read it.
 *
 * @param how how it ended; empty if it never ran
 * @param failure why it could not be started again
 */
export function downReason(how: string, state: DownState, failure: string | undefined): string {
  const since =
    failure === undefined ? how || neverRan : `${how === "" ? "it" : `${how}, and`} could not be started: ${failure}`;
  switch (state.kind) {
    case "restarting":
      return `${since}; it is started again at ${new Date(state.nextAt).toISOString()}`;
    case "starting":
      return `${since}; it is being started again`;
    case "quarantined":
      return `${since}; ${state.reason}, and is not started again before it is released or replaced`;
    case "ended":
      return since;
  }
}

const neverRan = "it has not run yet";
const longest = 200;

/** The first line of an error, since more of it may be what a program wrote. */
export function firstLine(text: string): string {
  const [line = ""] = text.split("\n", 1);
  const said = line.replace(/; it wrote last:$/, "");
  return said.length > longest ? `${said.slice(0, longest - 3)}...` : said;
}
