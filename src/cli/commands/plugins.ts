import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Command } from "commander";
import {
  ListPluginsResponseSchema,
  type Plugin,
  type PluginTraffic,
} from "../../gen/connectplugin/admin/v1/platform_pb.js";
import type { CliContext } from "../context.js";
import { spanText } from "../duration.js";
import { askTimeoutMs, HostSession, type SessionOptions, withSession } from "../session.js";
import { type Column, table } from "../table.js";
import { colouredState, type Style } from "../text.js";

const columns = (now: number, style: Style): Column<Plugin>[] => [
  { title: "ID", cell: ({ runtimeId }) => runtimeId },
  { title: "VERSION", cell: ({ selfVersion }) => selfVersion || "-" },
  { title: "HEALTH", cell: ({ health }) => health, paint: (text) => colouredState(text, style) },
  // Nearly always all of them serve.
  { title: "STATE", cell: (plugin) => stateText(plugin, now), optional: true },
  { title: "ORIGIN", cell: ({ origin }) => origin },
  { title: "PID", cell: ({ pid }) => (pid === undefined ? "" : String(pid)), alignRight: true, optional: true },
  { title: "CALLS", cell: ({ inFlight }) => String(inFlight), alignRight: true },
  { title: "WAITING", cell: ({ waiting }) => (waiting === 0 ? "" : String(waiting)), alignRight: true, optional: true },
  // Nearly all pass; what is wrong with the others stands among the reasons.
  { title: "TRAFFIC", cell: ({ traffic }) => trafficText(traffic, now), optional: true },
  { title: "UP", cell: ({ startTime }) => (startTime === undefined ? "-" : spanText(now - timestampMs(startTime))) },
  // What it was seen to use although it did not declare it.
  { title: "UNDECLARED", cell: ({ requires }) => observedText(requires), optional: true },
  { title: "PROVIDES", cell: ({ provides }) => provides.map(({ type }) => type).join(",") || "-" },
  {
    title: "ADDRESS",
    cell: ({ endpointUrl, link }) => [endpointUrl, link ? "link" : ""].filter((text) => text !== "").join(" + "),
    optional: true,
  },
  { title: "REASON", cell: ({ reason }) => reason, isBelow: true },
];

/** Where it is in its life; while it is down, what becomes of it. Empty if it serves. */
function stateText({ state, supervision }: Plugin, now: number): string {
  if (state !== "serving" || supervision === undefined) return state === "serving" ? "" : state;
  switch (supervision.state) {
    case "":
    case "unsupervised":
    case "running":
      return "";
    case "restarting": {
      const waitMs = supervision.nextAt === undefined ? 0 : timestampMs(supervision.nextAt) - now;
      return `restarting in ${spanText(Math.max(0, waitMs))}`;
    }
    default:
      return supervision.state;
  }
}

const observedText = (requires: Plugin["requires"]): string =>
  requires
    .filter(({ observed }) => observed)
    .map(({ type }) => type)
    .join(",");

function trafficText(traffic: PluginTraffic | undefined, now: number): string {
  if (traffic === undefined || traffic.state === "passing") return "";
  if (traffic.until === undefined) return traffic.state;
  return `${traffic.state} ${spanText(Math.max(0, timestampMs(traffic.until) - now))}`;
}

/** `plugins`: everybody who is there. */
export const pluginsCommand = (context: CliContext): Command =>
  withSession(new Command("plugins").description("list the plugins of a running host")).action(
    async (options: SessionOptions) => {
      const session = new HostSession(options, context);
      const answer = await session.ask((client) => client.listPlugins({}, { timeoutMs: askTimeoutMs }));
      session.print(ListPluginsResponseSchema, answer, () =>
        answer.plugins.length === 0
          ? "no plugins\n"
          : table(columns(context.environment.now(), context.style), answer.plugins, context.style),
      );
    },
  );
