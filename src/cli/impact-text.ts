import { oneLine } from "./text.js";

interface Impact {
  readonly affectedServices: readonly string[];
  readonly affectedPlugins: readonly string[];
  readonly optionalImpact: readonly string[];
}

/** Who breaks, for people; the lines end with a line end. */
export function impactText({ affectedServices, affectedPlugins, optionalImpact }: Impact): string {
  const list = (names: readonly string[]): string => (names.length === 0 ? "none" : names.map(oneLine).join(", "));
  return [
    `${labelled("services affected")}${list(affectedServices)}`,
    `${labelled("plugins that break")}${list(affectedPlugins)}`,
    `${labelled("lose something optional")}${list(optionalImpact)}`,
    "",
  ].join("\n");
}

/** The beginning of a line that says one thing, as wide as those around it. */
export const labelled = (name: string): string => name.padEnd(25);
