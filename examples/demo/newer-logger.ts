import { definePlugin } from "connect-plugin-host/plugin";
import { type LogEntry, Logger } from "../gen/logger/v1/logger_pb.js";

/** The next version of the logger: a program of its own that offers the same service. */
export const newerLoggerPlugin = definePlugin({
  id: "logger-plugin",
  version: "1.1.0",
  provides: { logger: { service: Logger } },
  setup() {
    const entries: Omit<LogEntry, "$typeName">[] = [];
    return {
      logger: {
        log({ level, message, fields }, { requestHeader }) {
          const callerId = requestHeader.get("x-plugin-caller-id") ?? "";
          const acceptedCount = BigInt(entries.push({ level: level || "info", message, fields, callerId }));
          return { acceptedCount };
        },
        listEntries: ({ limit }) => ({ entries: limit === 0 ? entries : entries.slice(-limit) }),
      },
    };
  },
});
