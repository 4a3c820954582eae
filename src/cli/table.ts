import { oneLine, type Style } from "./text.js";
import { wrap } from "./wrap.js";

const lineWidth = 80;
const indent = "    ";

/** One column of a table. */
export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => string;
  /** Numbers read better so. @default false */
  readonly alignRight?: boolean;
  /** Left out if all of its cells are empty. @default false */
  readonly optional?: boolean;
  /** Has no column: what is in it stands under its row, indented, in lines of 80 columns. For sentences. @default false */
  readonly isBelow?: boolean;
  /** Colours a cell; its width is that of the text before. */
  readonly paint?: (text: string) => string;
}

/** Rows under titles, two spaces between columns, no space at the end of lines. Ends with a line end. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], style: Style): string {
  const shown = columns
    .filter(({ isBelow }) => isBelow !== true)
    .map((column) => ({ column, cells: rows.map((row) => oneLine(column.cell(row))) }))
    .filter(({ column, cells }) => column.optional !== true || cells.some((cell) => cell !== ""))
    .map(({ column, cells }) => ({
      column,
      cells,
      width: cells.reduce((width, cell) => Math.max(width, widthOf(cell)), column.title.length),
    }));
  const line = (cellOf: (part: (typeof shown)[number]) => string, paint: boolean): string =>
    shown
      .map((part, index) => {
        const text = cellOf(part);
        const space = " ".repeat(part.width - widthOf(text));
        const painted = paint ? (part.column.paint?.(text) ?? text) : text;
        if (part.column.alignRight === true) return space + painted;
        return index === shown.length - 1 ? painted : painted + space;
      })
      .join("  ")
      .trimEnd();
  const lines = [
    style.bold(line(({ column }) => column.title, false)),
    ...rows.flatMap((row, index) => [line(({ cells }) => cells[index] ?? "", true), ...linesBelow(columns, row)]),
  ];
  return `${lines.join("\n")}\n`;
}

const linesBelow = <Row>(columns: readonly Column<Row>[], row: Row): string[] =>
  columns
    .filter(({ isBelow }) => isBelow === true)
    .map(({ cell }) => oneLine(cell(row)))
    .filter((text) => text !== "")
    .flatMap((text) => wrap(text, lineWidth - indent.length))
    .map((text) => indent + text);

/** Characters, which is near enough to columns for names and versions. */
const widthOf = (text: string): number => [...text].length;
