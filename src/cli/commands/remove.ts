import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Command } from "commander";
import { RemovePluginResponseSchema } from "../../gen/connectplugin/admin/v1/platform_pb.js";
import type { CliContext } from "../context.js";
import { impactText } from "../impact-text.js";
import { durationOption } from "../option-values.js";
import { HostSession, type SessionOptions, withSession } from "../session.js";

interface RemoveOptions extends SessionOptions {
  readonly reason?: string;
  /** Milliseconds. */
  readonly grace?: number;
}

const nobody = { affectedServices: [], affectedPlugins: [], optionalImpact: [] };

/** `remove`: ends when the plugin is gone. */
export const removeCommand = (context: CliContext): Command =>
  withSession(
    new Command("remove")
      .description("remove a plugin after its dependants were told and its calls have ended")
      .argument("<id>", "its runtime id, a beginning of it, or its self id")
      .option("--reason <text>", "for events, watchers and the plugin itself")
      .option("--grace <duration>", "how long dependants get to react, such as 5s", durationOption),
  ).action(async (id: string, options: RemoveOptions) => {
    const session = new HostSession(options, context);
    const runtimeId = await session.pluginId(id);
    const { reason = "", grace } = options;
    const gracePeriod = grace === undefined ? undefined : { gracePeriod: durationFromMs(grace) };
    const answer = await session.ask((client) => client.removePlugin({ runtimeId, reason, ...gracePeriod }));
    session.print(
      RemovePluginResponseSchema,
      answer,
      () => `removed ${context.style.bold(runtimeId)}\n${impactText(answer.impact ?? nobody)}`,
    );
  });
