import { oneLine, type Style } from "./text.js";

/** One column of a table. */
export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => string;
  /** Numbers read better so. @default false */
  readonly alignRight?: boolean;
  /** Left out if all of its cells are empty. @default false */
  readonly optional?: boolean;
  /** Colours a cell; its width is that of the text before. */
  readonly paint?: (text: string) => string;
}

/** Rows under titles, two spaces between columns, no space at the end of lines. Ends with a line end. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], style: Style): string {
  const shown = columns
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
    ...rows.map((_, index) => line(({ cells }) => cells[index] ?? "", true)),
  ];
  return `${lines.join("\n")}\n`;
}

/** Characters, which is near enough to columns for names and versions. */
const widthOf = (text: string): number => [...text].length;
