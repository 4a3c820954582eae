import { Command } from "commander";
import { ReleasePluginResponseSchema } from "../../gen/connectplugin/admin/v1/platform_pb.js";
import type { CliContext } from "../context.js";
import { HostSession, type SessionOptions, withSession } from "../session.js";
import { startedText } from "../started-text.js";

/** `release`: ends when the plugin runs. */
export const releaseCommand = (context: CliContext): Command =>
  withSession(
    new Command("release")
      .description("start a plugin at once that is down: quarantined, waiting to be started again, or ended")
      .argument("<id>", "its runtime id, a beginning of it, or its self id")
      .option("--quiet", "print the runtime id only"),
  ).action(async (id: string, options: SessionOptions & { readonly quiet?: boolean }) => {
    const session = new HostSession(options, context);
    const runtimeId = await session.pluginId(id);
    const answer = await session.ask((client) => client.releasePlugin({ runtimeId }));
    session.print(ReleasePluginResponseSchema, answer, () =>
      startedText("runs", answer.plugin, options.quiet === true, context.style),
    );
  });
