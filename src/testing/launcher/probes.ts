import { fileURLToPath } from "node:url";
import type { DefinedPlugin } from "../../plugin/index.js";
import failing from "./probes/failing.js";
import gossiping from "./probes/gossiping.js";
import newer from "./probes/newer.js";
import steady from "./probes/steady.js";
import stubborn from "./probes/stubborn.js";
import waiting from "./probes/waiting.js";
import warming from "./probes/warming.js";

const plugins = { steady, newer, warming, waiting, failing, stubborn, gossiping } satisfies Record<
  string,
  DefinedPlugin
>;

/** Names of the plugins with which launchers are tested. */
export type ProbeName = keyof typeof plugins;

/** One plugin with which launchers are tested: the same definition, in every form that a launcher may want. */
export interface LauncherProbe {
  readonly name: ProbeName;
  /** For launchers that run it in this thread. */
  readonly plugin: DefinedPlugin;
  /** File of a module whose default export is the plugin, for launchers that load it elsewhere. */
  readonly module: string;
  /** Program that serves it with `servePlugin`, and ends on SIGTERM: Node, and its arguments. */
  readonly program: readonly [command: string, ...args: string[]];
}

const fileOf = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** A probe by its name. */
export const probeOf = (name: ProbeName): LauncherProbe =>
  Object.freeze({
    name,
    plugin: plugins[name],
    module: fileOf(`./probes/${name}.js`),
    program: [process.execPath, fileOf("./probe-program.js"), name] as const,
  });
