/**
 * Text of others for a terminal: control characters, which could move the cursor or hide text, become visible escapes.
 * Line ends and tabs become spaces, so that it stays one line.
 */
export const oneLine = (text: string): string =>
  text.replace(/[\r\n\t]+/g, " ").replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced here
    /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );

/** The same for text of several lines, which stay apart. */
export const severalLines = (text: string): string => text.split("\n").map(oneLine).join("\n");

/** Colours for a terminal, or none. */
export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
}

/** No colours unless a person looks, and none if NO_COLOR is set to anything (no-color.org) or the terminal has none. */
export function styleFor(isTerminal: boolean, variables: Readonly<Record<string, string | undefined>>): Style {
  const isPlain = !isTerminal || (variables.NO_COLOR ?? "") !== "" || variables.TERM === "dumb";
  const code = (on: number, off: number) => (text: string) =>
    isPlain || text === "" ? text : `\u001b[${on}m${text}\u001b[${off}m`;
  return { bold: code(1, 22), dim: code(2, 22), red: code(31, 39), green: code(32, 39), yellow: code(33, 39) };
}

const stateColours: Readonly<Record<string, "green" | "yellow" | "red">> = {
  healthy: "green",
  degraded: "yellow",
  unready: "yellow",
  leaving: "yellow",
  draining: "yellow",
  unhealthy: "red",
};

/** A state of health or of a plugin in its colour. */
export function colouredState(state: string, style: Style): string {
  const colour = stateColours[state];
  return colour === undefined ? state : style[colour](state);
}
