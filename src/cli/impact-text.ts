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
    `services affected         ${list(affectedServices)}`,
    `plugins that break        ${list(affectedPlugins)}`,
    `lose something optional   ${list(optionalImpact)}`,
    "",
  ].join("\n");
}
