import type { Finding } from "./doctor-report.js";
import type { StartWatch } from "./start-watch.js";

// Enough for a path with what went wrong in that file.
const longestShown = 160;

/** How much the program wrote, and how it begins. Noise is no fault. */
export function outputFinding({ lines, chars, cutLines, firstLines }: StartWatch): Finding {
  if (lines === 0) return { status: "ok", seen: "it wrote nothing" };
  const cut = cutLines === 0 ? "" : "; over-long lines were cut, which is no fault";
  const [first = ""] = firstLines;
  const begins = first === "" ? "" : `; begins with: ${shorten(first)}`;
  return { status: "ok", seen: `${quantity(lines, "line")}, ${sizeText(chars, cutLines > 0)}${cut}${begins}` };
}

const shorten = (text: string): string => (text.length > longestShown ? `${text.slice(0, longestShown)}…` : text);

const sizeText = (chars: number, isCut: boolean): string => {
  const size = chars < 2_048 ? quantity(chars, "character") : `${Math.round(chars / 1_024)} KiB`;
  return isCut ? `more than ${size}` : size;
};

/** `1 line`, `2 lines`. */
export const quantity = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;
