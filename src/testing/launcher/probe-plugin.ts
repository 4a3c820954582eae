import { type DefinedPlugin, definePlugin, type PluginContext } from "../../plugin/index.js";
import { Conductor, Probe } from "../gen/launcher/v1/launcher_pb.js";

const requires = { conductor: { service: Conductor } } as const;
const provides = { probe: { service: Probe } } as const;

/** What a probe's own code gets. */
export interface ProbeStep {
  readonly plugin: PluginContext<typeof requires>;
  /** Tells the conductor, and waits until it lets the plugin go on. */
  reach(point: string): Promise<void>;
}

/** What makes one probe differ from the others. */
export interface ProbeOptions {
  /** @default "1.0.0" */
  readonly version?: string;
  /** Runs in `setup`. */
  readonly onSetup?: (step: ProbeStep) => void | Promise<void>;
  /** Runs when the plugin stops. @default tells the conductor */
  readonly onStop?: (step: ProbeStep) => Promise<void>;
}

/** The plugin with which launchers are tested: says what it does, and does what the suite tells it to. */
export function probePlugin(options: ProbeOptions = {}): DefinedPlugin<typeof provides, typeof requires> {
  const { version = "1.0.0", onSetup, onStop = ({ reach }) => reach("stop") } = options;
  return definePlugin({
    id: "probe",
    version,
    requires,
    provides,
    async setup(plugin) {
      const conductor = plugin.client("conductor");
      const reach = async (point: string): Promise<void> => {
        const { crash } = await conductor.reach({ point, runtimeId: plugin.runtimeId ?? "" });
        if (crash === "") return;
        crashSoon(crash);
        // What comes after the point does not happen any more.
        await new Promise(() => {});
      };
      const step: ProbeStep = { plugin, reach };
      plugin.onStop(() => onStop(step));
      await onSetup?.(step);
      return {
        probe: {
          say: ({ text }) => ({ text, version, runtimeId: plugin.runtimeId ?? "" }),
          async *count({ count }) {
            for (let number = 0; number < count; number += 1) yield { number };
          },
          async join(requests) {
            let text = "";
            for await (const request of requests) text += request.text;
            return { text };
          },
          async *repeat(requests) {
            for await (const { text } of requests) yield { text };
          },
          async reach({ point }) {
            await reach(point);
            return {};
          },
          write({ line }) {
            process.stdout.write(`${line}\n`);
            process.stderr.write(`${line}\n`);
            return {};
          },
          crash({ reason }) {
            crashSoon(reason);
            return {};
          },
        },
      };
    },
  });
}

/** Not in the call that asked for it, which would answer it as an error of its own. */
function crashSoon(reason: string): void {
  setImmediate(() => {
    throw new Error(reason);
  });
}
