import type { PlatformOptions, PluginSpec } from "../../index.js";
import type { HostConfig } from "../config/config-schema.js";
import { readConfig } from "../config/read-config.js";
import type { CliEnvironment } from "../environment.js";
import { toSpec } from "../serve/configured-plugins.js";
import type { DoctorOutput } from "./doctor-output.js";
import type { Examination } from "./examination.js";
import { examinePlugin, stepsFor } from "./examine-plugin.js";
import { examineTogether, type Member } from "./examine-together.js";
import { lookAtMachine } from "./machine.js";
import { loadModule } from "./read-subject.js";
import { configSteps, moduleSteps, togetherSteps } from "./step-titles.js";
import { quantity } from "./tell-output.js";

/** Settings of the configuration that decide on whether a plugin starts. */
const settings: readonly string[] = ["magicCookie", "appProtocolVersion", "limits", "health", "permissions"];

/** Examines each plugin of a configuration of `serve` alone, and then all of them together. @throws CliError `usage` */
export async function examineConfig(
  file: string,
  shared: Omit<Examination, "spec">,
  output: DoctorOutput,
  { variables, workingDirectory }: CliEnvironment,
): Promise<void> {
  const { config, folder, errorAt } = await readConfig(file, { variables, workingDirectory });
  const { plugins = [], limits } = config;
  const about = output.section(file, configSteps);
  about.put("machine", await lookAtMachine());
  if (plugins.length === 0) throw errorAt("plugins", "has no plugin to examine");
  about.ok("file", `${quantity(plugins.length, "plugin")}; the form of every setting is right`);
  const hostOptions = Object.fromEntries(
    Object.entries(config).filter(([name]) => settings.includes(name)),
  ) as PlatformOptions;
  const members: Member[] = [];
  for (const [index, plugin] of plugins.entries()) {
    const name = `plugins[${index}] ${nameOf(plugin)}`;
    const { machine: _, ...titles } = plugin.module === undefined ? stepsFor(plugin as PluginSpec) : moduleSteps;
    const section = output.section(name, titles);
    const loaded = plugin.module === undefined ? {} : await loadModule(section, plugin.module, folder);
    if (loaded === undefined) {
      members.push({ name, spec: { endpoint: "" }, view: undefined });
      continue;
    }
    const spec = await toSpec(plugin, folder, shared.signal, index);
    const timeoutMs = plugin.limits?.describeMs ?? limits?.describeMs ?? shared.timeoutMs;
    const view = await examinePlugin(section, { ...shared, hostOptions, spec, timeoutMs });
    members.push({ name, spec, view });
  }
  await examineTogether(output.section("all of them", togetherSteps), members, { ...shared, hostOptions });
}

type ConfiguredPlugin = NonNullable<HostConfig["plugins"]>[number];

const nameOf = ({ declares, module, worker, endpoint, command, args = [] }: ConfiguredPlugin): string =>
  declares?.selfId ?? module ?? worker ?? endpoint ?? [command, ...args].join(" ");
