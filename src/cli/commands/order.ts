import { Command } from "commander";
import { GetStartupOrderResponseSchema } from "../../gen/connectplugin/admin/v1/platform_pb.js";
import type { CliContext } from "../context.js";
import { askTimeoutMs, HostSession, type SessionOptions, withSession } from "../session.js";
import { table } from "../table.js";

/** `order`: in which order everything would start. */
export const orderCommand = (context: CliContext): Command =>
  withSession(
    new Command("order").description("show the order in which plugins start: each after what it requires"),
  ).action(async (options: SessionOptions) => {
    const session = new HostSession(options, context);
    const answer = await session.ask((client) => client.getStartupOrder({}, { timeoutMs: askTimeoutMs }));
    session.print(GetStartupOrderResponseSchema, answer, () => {
      const rows = answer.levels.flatMap(({ runtimeIds }, level) =>
        runtimeIds.map((runtimeId) => ({ level: String(level + 1), runtimeId })),
      );
      if (rows.length === 0) return "no plugins\n";
      return table(
        [
          { title: "LEVEL", cell: ({ level }) => level, alignRight: true },
          { title: "ID", cell: ({ runtimeId }) => runtimeId },
        ],
        rows,
        context.style,
      );
    });
  });
