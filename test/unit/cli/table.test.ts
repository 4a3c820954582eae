import { expect, test } from "vitest";
import { type Column, table } from "../../../src/cli/table.js";
import { colouredState, oneLine, severalLines, styleFor } from "../../../src/cli/text.js";

const plain = styleFor(false, {});
const coloured = styleFor(true, {});
interface Row {
  readonly name: string;
  readonly count: number;
  readonly note?: string;
}
const columns: Column<Row>[] = [
  { title: "NAME", cell: ({ name }) => name },
  { title: "N", cell: ({ count }) => String(count), alignRight: true },
  { title: "NOTE", cell: ({ note }) => note ?? "", optional: true },
];

test("columns stand under each other, numbers on the right, and lines end without spaces", () => {
  const rows = [
    { name: "a", count: 5 },
    { name: "longer", count: 1234, note: "x" },
    { name: "ü", count: 0 },
  ];
  expect(table(columns, rows, plain)).toBe(
    ["NAME       N  NOTE", "a          5", "longer  1234  x", "ü          0", ""].join("\n"),
  );
});

test("an optional column without anything in it is left out", () => {
  expect(table(columns, [{ name: "a", count: 1 }], plain)).toBe("NAME  N\na     1\n");
});

test("colours do not count as width", () => {
  const paint = (text: string) => colouredState(text, coloured);
  const text = table(
    [
      { title: "HEALTH", cell: (state: string) => state, paint },
      { title: "X", cell: () => "x" },
    ],
    ["healthy", "unhealthy"],
    coloured,
  );
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control characters
  expect(text.replace(/\u001b\[\d+m/g, "")).toBe("HEALTH     X\nhealthy    x\nunhealthy  x\n");
  expect(text).toContain("\u001b[31munhealthy\u001b[39m");
});

test.each([
  { isTerminal: true, variables: {}, hasColours: true, why: "a person looks" },
  { isTerminal: false, variables: {}, hasColours: false, why: "it goes into a file or another program" },
  { isTerminal: true, variables: { NO_COLOR: "1" }, hasColours: false, why: "NO_COLOR" },
  { isTerminal: true, variables: { NO_COLOR: "" }, hasColours: true, why: "an empty NO_COLOR is none" },
  { isTerminal: true, variables: { TERM: "dumb" }, hasColours: false, why: "the terminal has none" },
])("colours: $hasColours, as $why", ({ isTerminal, variables, hasColours }) => {
  expect(styleFor(isTerminal, variables).red("x") !== "x").toBe(hasColours);
});

test("text of others cannot steer the terminal", () => {
  expect(oneLine("a\u001b[2Jb\nc\td\u0007\u202ee")).toBe("a\\u001b[2Jb c d\\u0007\\u202ee");
  expect(severalLines("a\u001b\nb")).toBe("a\\u001b\nb");
  expect(table([{ title: "T", cell: () => "x\u001b]0;y" }], [0], plain)).toBe("T\nx\\u001b]0;y\n");
});

test("a sentence stands under its row, broken into lines of 80 columns", () => {
  const columns: Column<Row>[] = [
    { title: "NAME", cell: ({ name }) => name },
    { title: "NOTE", cell: ({ note }) => note ?? "", isBelow: true },
  ];
  const rows = [
    { name: "a", count: 1, note: "word ".repeat(20).trim() },
    { name: "b", count: 2 },
  ];
  const [title, first, ...more] = table(columns, rows, plain).split("\n");
  expect([title, first]).toEqual(["NAME", "a"]);
  expect(more).toEqual([`    ${"word ".repeat(15).trim()}`, `    ${"word ".repeat(5).trim()}`, "b", ""]);
});
