import { type DeclaredPlugin, type Platform, PluginHostError, type PluginSpec, type PluginView } from "../../index.js";
import { ObservedHost } from "../check/observed-host.js";
import { CliError } from "../cli-error.js";
import { exitCodes } from "../exit-codes.js";
import type { DoctorSection } from "./doctor-report.js";
import type { Examination } from "./examination.js";
import { quantity } from "./tell-output.js";
import { failure } from "./tell-start.js";

/** A plugin of a configuration, and what it says of itself where it came up alone. */
export interface Member {
  readonly name: string;
  readonly spec: PluginSpec;
  readonly view: PluginView | undefined;
}

type Together = Pick<Examination, "hostOptions" | "graceMs" | "signal" | "progress">;

/**
 * Starts all plugins of a configuration in one host, as `serve` does, and tells whether they find each other. Only those
 * that came up alone are of use here.
 */
export async function examineTogether(
  section: DoctorSection,
  members: readonly Member[],
  exam: Together,
): Promise<void> {
  const broken = members.filter(({ view }) => view === undefined).map(({ name }) => name);
  if (broken.length > 0) return section.close(`not while ${broken.join(", ")} does not start alone`);
  exam.progress(`starting ${quantity(members.length, "plugin")} together`);
  const asConfigured = members.map(({ spec }) => spec);
  const first = await attempt(asConfigured, exam);
  if (first.error === undefined) {
    section.ok("dependencies", "everything that is required is provided");
    section.ok("order", first.order);
    return section.ok("starts", `${quantity(members.length, "plugin")} together`, first.tookMs);
  }
  const { error } = first;
  if (error.code !== "DEPENDENCY_MISSING") return tellFailure(section, error, nameIn(error, members));
  // The host knows before the start only what the configuration says. Told everything, it may see more.
  const told = await attempt(members.map(withOwnWord), exam);
  if (told.error !== undefined) return tellFailure(section, told.error, nameIn(told.error, members));
  section.put("dependencies", {
    status: "fail",
    seen: `${nameIn(error, members)} does not find what it requires`,
    message: `${nameIn(error, members)}: ${error.message}`,
    code: error.code,
    hint: `The configuration has a provider, but does not say so before the programs run. Give these plugins \`declares\`; then they start in this order: ${told.order}.`,
  });
  section.close("not reached");
}

async function attempt(
  specs: readonly PluginSpec[],
  { hostOptions, graceMs, signal }: Together,
): Promise<{ readonly error: PluginHostError | undefined; readonly order: string; readonly tookMs: number }> {
  await using host = await ObservedHost.open({ ...hostOptions, stopBudgetMs: graceMs });
  const { platform } = host;
  const startedAt = performance.now();
  try {
    await platform.addPlugins(specs.map((spec) => ({ ...spec, restart: false, signal })));
    return { error: undefined, order: orderText(platform), tookMs: performance.now() - startedAt };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof PluginHostError)) throw error;
    if (error.step === undefined && error.code === "INVALID_ARGUMENT")
      throw new CliError(exitCodes.usage, error.message, { hostCode: error.code });
    return { error, order: "", tookMs: 0 };
  }
}

/** Levels behind arrows; what is in one level starts at the same time. */
function orderText(platform: Platform): string {
  const names = new Map(platform.plugins().map(({ runtimeId, selfId }) => [runtimeId, selfId]));
  return platform
    .getStartupLevels()
    .map((level) => level.map((id) => names.get(id) ?? id).join(", "))
    .join(" -> ");
}

function tellFailure(section: DoctorSection, error: PluginHostError, name: string): void {
  const isGraph = error.code === "DEPENDENCY_MISSING" || error.code === "DEPENDENCY_CYCLE";
  const step = isGraph ? "dependencies" : "starts";
  const { seen, message, ...finding } = failure(error, step);
  const about = (text: string | undefined): string => (name === "" ? `${text}` : `${name}: ${text}`);
  section.put(step, { ...finding, seen: about(seen), message: about(message) });
  section.close("not reached");
}

const nameIn = ({ details: { index } }: PluginHostError, members: readonly Member[]): string =>
  typeof index === "number" ? (members[index]?.name ?? "") : "";

/** The plugin with its own word instead of what the configuration says of it. */
function withOwnWord({ spec, view }: Member): PluginSpec {
  if (view === undefined) return spec;
  const { selfId, selfVersion, provides, requires } = view;
  const declares: DeclaredPlugin = {
    selfId,
    selfVersion,
    provides: provides.map(({ type, version, path }) => ({ type, version, path })),
    requires: requires
      .filter(({ source }) => source === "declared")
      .map(({ type, minVersion, required }) => ({ type, minVersion, required })),
  };
  return { ...spec, declares };
}
