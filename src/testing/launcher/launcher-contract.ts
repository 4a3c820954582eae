import type { PluginSpec } from "../../index.js";
import { type ContractCase, contractCase } from "../contract-case.js";
import type { TestHostOptions } from "../test-host.js";
import { LauncherBench } from "./launcher-bench.js";
import { type LauncherCaseName, launcherCases } from "./launcher-cases.js";
import type { LauncherProbe } from "./probes.js";

/** A way to run plugins, as the contract tests it. */
export interface LauncherUnderTest {
  /**
   * What `addPlugin` gets for this probe. Called once for each start. `host.url` is where the host listens, for programs
   * that register themselves before they are added.
   */
  source(probe: LauncherProbe, host: { readonly url: string }): PluginSpec | Promise<PluginSpec>;
  /**
   * Ends the newest running plugin as a mistake in its code would, with this reason.
   * @default the probe throws an error that nobody catches: right for what runs in a thread or a process of its own
   */
  readonly crash?: (reason: string) => void | Promise<void>;
  /** What the host tells of such an end. @default the reason itself */
  readonly crashText?: RegExp;
  /**
   * What still runs of everything that was started, by names for people. Has to be empty as soon as an operation is over
   * that failed, or that removed the plugin. @default nobody looks
   */
  readonly leftovers?: () => readonly string[] | Promise<readonly string[]>;
  /** Cases that this way to run plugins cannot meet, each with the reason. */
  readonly skip?: { readonly [Name in LauncherCaseName]?: string };
  /** Options of the host that each case starts. `waitMs` is 10 s by default. */
  readonly host?: TestHostOptions;
}

/**
 * What every way to run plugins has to keep. Cases are independent of each other. For any test framework:
 * `for (const { title, skip, run } of launcherContract(mine)) test(title, { skip }, run);` with that of Node.
 */
export function launcherContract(underTest: LauncherUnderTest): readonly ContractCase<LauncherCaseName>[] {
  return Object.entries(launcherCases).map(([name, check]) =>
    contractCase(name as LauncherCaseName, underTest.skip?.[name as LauncherCaseName], async () => {
      await using bench = await LauncherBench.open(underTest);
      await check(bench);
    }),
  );
}
