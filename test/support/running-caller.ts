import type { Platform } from "../../src/index.js";
import {
  type DefinedPlugin,
  definePlugin,
  type PluginContext,
  type PluginEvent,
  servePlugin,
} from "../../src/plugin/index.js";
import { conditions } from "./conditions.js";

/** How the calls of a plugin reach its host. */
export type Way = "over HTTP" | "over the link" | "in process";
export const ways: readonly Way[] = ["over HTTP", "over the link", "in process"];

/** A plugin that only calls. */
export interface RunningCaller extends AsyncDisposable {
  readonly context: PluginContext;
  readonly runtimeId: string;
  /** Empty in process, where nobody listens. */
  readonly events: readonly PluginEvent[];
  /** Resolves when the condition holds, looked at now and after each event. */
  until(condition: () => boolean): Promise<void>;
}

/** Runs a plugin that requires what is given, and calls in this way. */
export async function startCaller(
  way: Way,
  host: { readonly platform: Platform; readonly url: string },
  requires: object,
): Promise<RunningCaller> {
  let found: PluginContext | undefined;
  const plugin = definePlugin({
    id: "caller",
    version: "1.0.0",
    requires: requires as Record<never, never>,
    setup: (context) => {
      found = context as unknown as PluginContext;
    },
  }) as DefinedPlugin;
  const events: PluginEvent[] = [];
  const { look, until } = conditions();
  if (way === "in process") {
    const { runtimeId } = await host.platform.addPlugin({ module: plugin });
    const stop = async (): Promise<void> => void (await host.platform.removePlugin(runtimeId).catch(() => {}));
    return { context: found as PluginContext, runtimeId, events, until, [Symbol.asyncDispose]: stop };
  }
  const running = await servePlugin(plugin, {
    env: {},
    hostUrl: host.url,
    link: way === "over HTTP" ? "off" : "auto",
    backOff: { firstMs: 5, longestMs: 50 },
    graceMs: 500,
    onEvent: (event) => {
      events.push(event);
      look();
    },
  });
  if (way === "over the link") await until(() => events.some(({ kind }) => kind === "link-open"));
  return {
    context: found as PluginContext,
    get runtimeId() {
      return running.runtimeId ?? "";
    },
    events,
    until,
    [Symbol.asyncDispose]: () => running.stop({ graceMs: 0 }),
  };
}
