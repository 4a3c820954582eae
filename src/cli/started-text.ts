import type { Plugin } from "../gen/connectplugin/admin/v1/platform_pb.js";
import { colouredState, oneLine, type Style } from "./text.js";

/** One line about a plugin that was added or put in the place of another: its runtime id only, or what it is, too. */
export function startedText(verb: string, plugin: Plugin | undefined, idOnly: boolean, style: Style): string {
  const { runtimeId = "", selfId = "", selfVersion = "", health = "", reason = "", provides = [] } = plugin ?? {};
  if (idOnly) return `${runtimeId}\n`;
  const name = oneLine(selfVersion === "" ? selfId : `${selfId} ${selfVersion}`);
  const why = reason === "" ? "" : ` (${oneLine(reason)})`;
  const services = provides.map(({ type, version }) => `${type} ${version}`).join(", ");
  return `${verb} ${style.bold(oneLine(runtimeId))}: ${name}, ${colouredState(health, style)}${why}, provides ${oneLine(services) || "nothing"}\n`;
}
