import { Command } from "commander";
import { SetSelectionStrategyResponseSchema } from "../../gen/connectplugin/admin/v1/platform_pb.js";
import type { CliContext } from "../context.js";
import { askTimeoutMs, HostSession, type SessionOptions, withSession } from "../session.js";

/** `strategy`: how a provider of a type is chosen. */
export const strategyCommand = (context: CliContext): Command =>
  withSession(
    new Command("strategy")
      .description("set how a provider of a service type is chosen")
      .argument("<type>", "service type")
      .argument("<name>", "first, round-robin, random, weighted, least-in-flight, or default"),
  ).action(async (serviceType: string, name: string, options: SessionOptions) => {
    const session = new HostSession(options, context);
    const strategy = name === "default" ? "" : name;
    const answer = await session.ask((client) =>
      client.setSelectionStrategy({ serviceType, strategy }, { timeoutMs: askTimeoutMs }),
    );
    session.print(SetSelectionStrategyResponseSchema, answer, () => `${serviceType}: ${name}\n`);
  });
