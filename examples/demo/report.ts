const useColor = process.stdout.isTTY === true && !process.env.NO_COLOR;
const labelWidth = 10;

const paint = (code: number, text: string): string => (useColor ? `\u001b[${code}m${text}\u001b[0m` : text);

export const bold = (text: string): string => paint(1, text);
export const dim = (text: string): string => paint(2, text);
export const red = (text: string): string => paint(31, text);
export const green = (text: string): string => paint(32, text);

/** A whole number as people write it: `1,204`. */
export const count = (value: number): string => value.toLocaleString("en-US");

/** A time as people read it: `3 ms`, `0.4 ms`. */
export const ms = (value: number): string => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;

/** Prints a line. */
export const print = (line = ""): void => void process.stdout.write(`${line}\n`);

/** Prints lines beside a label; the label stands in front of the first. */
export function section(label: string, ...lines: readonly string[]): void {
  lines.forEach((line, index) => {
    print(`${index === 0 ? bold(label.padEnd(labelWidth)) : " ".repeat(labelWidth)}${line}`);
  });
}
