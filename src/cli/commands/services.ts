import { Command } from "commander";
import { ListServicesResponseSchema } from "../../gen/connectplugin/admin/v1/platform_pb.js";
import type { CliContext } from "../context.js";
import { askTimeoutMs, HostSession, type SessionOptions, withSession } from "../session.js";
import { table } from "../table.js";
import { colouredState } from "../text.js";

/** `services`: who provides what. */
export const servicesCommand = (context: CliContext): Command =>
  withSession(
    new Command("services").description("list service types with their providers and how one of them is chosen"),
  ).action(async (options: SessionOptions) => {
    const session = new HostSession(options, context);
    const answer = await session.ask((client) => client.listServices({}, { timeoutMs: askTimeoutMs }));
    session.print(ListServicesResponseSchema, answer, () => {
      const rows = answer.services.flatMap(({ type, strategy, providers }) =>
        providers.map((provider) => ({ ...provider, type, strategy })),
      );
      if (rows.length === 0) return "no services\n";
      return table(
        [
          { title: "TYPE", cell: ({ type }) => type },
          { title: "VERSION", cell: ({ version }) => version },
          { title: "STATE", cell: ({ state }) => state, paint: (text) => colouredState(text, context.style) },
          { title: "PROVIDER", cell: ({ runtimeId }) => runtimeId },
          { title: "PATH", cell: ({ path }) => path },
          { title: "STRATEGY", cell: ({ strategy }) => strategy },
          { title: "REASON", cell: ({ reason }) => reason, isBelow: true },
        ],
        rows,
        context.style,
      );
    });
  });
