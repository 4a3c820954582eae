import { errorCodes } from "../../index.js";
import { oneLine, type Style } from "../text.js";
import { wrap } from "../wrap.js";
import type { StepResult } from "./doctor-report.js";
import { referenceOf } from "./remedies.js";
import { quantity } from "./tell-output.js";
import { secondsText } from "./tell-plugin.js";

const words = { ok: "ok  ", warn: "warn", fail: "FAIL", skipped: "-   " } as const;
const titleWidth = 16;
const indent = " ".repeat(2 + 4 + 2 + titleWidth);
const lineWidth = 80;
const shownOutputLines = 8;
const shownPartsOfLine = 8;

/** One step: its state, its title and what was seen, broken into lines of 80 columns, with what to do about a warning. */
export function stepText({ status, title, seen, durationMs, hint }: StepResult, style: Style): string {
  const paint = { ok: style.green, warn: style.yellow, fail: style.red, skipped: style.dim }[status];
  const took = durationMs === undefined || durationMs < 1 ? "" : ` (${secondsText(durationMs)})`;
  const lines = wrap(oneLine(`${seen}${took}`), lineWidth - indent.length);
  const dimmed = status === "skipped" ? lines.map((line) => style.dim(line)) : lines;
  const advice = status === "warn" && hint !== undefined ? wrap(`-> ${hint}`, lineWidth - indent.length) : [];
  const [first = "", ...more] = [...dimmed, ...advice.map((line) => style.yellow(line))];
  const shownTitle = title.padEnd(titleWidth);
  const head = `  ${paint(words[status])}  ${status === "skipped" ? style.dim(shownTitle) : shownTitle}${first}`;
  return `${[head, ...more.map((line) => indent + line)].join("\n")}\n`;
}

/** Steps that were not reached, in one line. */
export const skippedText = (count: number, style: Style): string =>
  style.dim(`  -     ${quantity(count, "more step")} not reached\n`);

/** What it comes to: the first thing that is wrong and what to do about it, or that nothing is. */
export function conclusionText(failed: StepResult | undefined, where: string, warnings: number, style: Style): string {
  const also = warnings === 0 ? "" : style.yellow(` ${quantity(warnings, "warning")}, see above.`);
  if (failed === undefined) return `\n${style.green(style.bold("Healthy."))}${also}\n`;
  const { title, code, seen, message = seen, hint } = failed;
  const head = `${style.red(style.bold("What is wrong:"))} ${style.bold(where === "" ? title : `${where}: ${title}`)}${code === undefined ? "" : ` ${style.dim(`(${code})`)}`}`;
  const lines = ["", head, ...messageLines(message)];
  if (hint !== undefined)
    lines.push("", style.bold("What to do:"), ...wrap(hint, lineWidth - 2).map((line) => `  ${line}`));
  if (code !== undefined && Object.hasOwn(errorCodes, code))
    lines.push("", `${style.bold("More:")} ${referenceOf(code)}`);
  return `${lines.join("\n")}\n`;
}

/** A message of the host: its sentences, and the last lines of a program that stand in it each on a line of its own. */
function messageLines(message: string): string[] {
  const [text = "", ...output] = message.split("\n");
  // Of a trace the frames say least.
  const telling = output.length > shownOutputLines ? output.filter((line) => !/^\s+at /.test(line)) : output;
  const shown = telling.slice(-shownOutputLines).map((line) => oneLine(line.trim()));
  const left = output.length - shown.length;
  return [
    ...wrap(oneLine(text), lineWidth - 2).map((line) => `  ${line}`),
    ...(left > 0 ? [`    | … (${quantity(left, "line")} left out)`] : []),
    ...shown.flatMap(outputLines),
  ];
}

/** One line that a program wrote, broken into several if need be: what matters most may stand at its end. */
function outputLines(line: string): string[] {
  const parts = wrap(line, lineWidth - "    |   ".length);
  const shown = parts.slice(0, shownPartsOfLine);
  if (parts.length > shown.length) shown.push("…");
  return shown.map((part, index) => `    | ${index === 0 ? "" : "  "}${part}`);
}
