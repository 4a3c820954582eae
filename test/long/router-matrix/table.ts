import type { Version } from "../../support/http-server.js";
import type { Cell, Kind } from "./kinds.js";

export type Place = `${Version} to ${Version}`;

export const places: readonly Place[] = ["1.1 to 1.1", "1.1 to 2", "2 to 1.1", "2 to 2"];

/** One variant of a situation. */
export interface Row {
  /** What is said to be so. */
  readonly name: string;
  /** The protocols of callers in which it is played: all that behave differently. */
  readonly kinds: readonly Kind[];
  readonly play: (cell: Cell) => Promise<void>;
  /** Places where this cannot come about, each with the reason. */
  readonly cannotBe?: Partial<Record<Place, string>>;
}

export const onlyFromHttp2 = (reason: string): Partial<Record<Place, string>> => ({
  "1.1 to 1.1": reason,
  "1.1 to 2": reason,
});

export const onlyToHttp2 = (reason: string): Partial<Record<Place, string>> => ({
  "1.1 to 1.1": reason,
  "2 to 1.1": reason,
});

export const onlyToHttp1 = (reason: string): Partial<Record<Place, string>> => ({
  "1.1 to 2": reason,
  "2 to 2": reason,
});
