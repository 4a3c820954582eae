import { Command } from "commander";
import { GetImpactResponseSchema } from "../../gen/connectplugin/admin/v1/platform_pb.js";
import type { CliContext } from "../context.js";
import { impactText } from "../impact-text.js";
import { askTimeoutMs, HostSession, type SessionOptions, withSession } from "../session.js";

/** `impact`: who would break. */
export const impactCommand = (context: CliContext): Command =>
  withSession(
    new Command("impact")
      .description("show who would break if a plugin went")
      .argument("<id>", "its runtime id, a beginning of it, or its self id"),
  ).action(async (id: string, options: SessionOptions) => {
    const session = new HostSession(options, context);
    const runtimeId = await session.pluginId(id);
    const answer = await session.ask((client) => client.getImpact({ runtimeId }, { timeoutMs: askTimeoutMs }));
    session.print(
      GetImpactResponseSchema,
      answer,
      () => `if ${context.style.bold(runtimeId)} went\n${impactText(answer)}`,
    );
  });
