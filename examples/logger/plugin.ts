import { Code, ConnectError } from "@connectrpc/connect";
import { definePlugin } from "connect-plugin-host/plugin";
import { type LogEntry, Logger } from "../gen/logger/v1/logger_pb.js";

const maxEntries = 1_000;

/** Keeps the newest log entries of other plugins in memory. */
export const loggerPlugin = definePlugin({
  id: "logger-plugin",
  version: "1.0.0",
  provides: { logger: { service: Logger } },
  setup() {
    const entries: Omit<LogEntry, "$typeName">[] = [];
    let acceptedCount = 0n;
    return {
      logger: {
        log({ level, message, fields }, { requestHeader }) {
          if (message === "") throw new ConnectError("message must not be empty", Code.InvalidArgument);
          const callerId = requestHeader.get("x-plugin-caller-id") ?? "";
          entries.push({ level: level || "info", message, fields, callerId });
          if (entries.length > maxEntries) entries.shift();
          acceptedCount += 1n;
          return { acceptedCount };
        },
        listEntries: ({ limit }) => ({ entries: limit === 0 ? entries : entries.slice(-limit) }),
      },
    };
  },
});

export default loggerPlugin;
