import { Code, ConnectError } from "@connectrpc/connect";
import { callBuffer, definePlugin } from "connect-plugin-host/plugin";
import { Logger } from "../gen/logger/v1/logger_pb.js";
import { Storage } from "../gen/storage/v1/storage_pb.js";
import { LinkStore, type StoredLink } from "./link-store.js";

const maxUrlChars = 2_048;

const toWire = ({ code, url, visits, createdAtMs }: StoredLink) => ({
  code,
  url,
  visits,
  createdAtMs: BigInt(createdAtMs),
});

/** Keeps links, and notes in the log what happens to them. Without a logger it goes on, and keeps its log lines back. */
export const storagePlugin = (options: { readonly file?: string | undefined } = {}) =>
  definePlugin({
    id: "storage-plugin",
    version: "1.0.0",
    requires: { logger: { service: Logger, minVersion: "1.0.0", required: false } },
    provides: { storage: { service: Storage } },
    async setup(plugin) {
      const logger = plugin.client("logger");
      const links = await LinkStore.open(options.file);
      const log = callBuffer(plugin, "logger", {
        send: (message: string, signal) => logger.log({ level: "info", message }, { signal }),
        maxKept: 10_000,
        // A line that is there twice does less harm than one that is missing.
        isRepeatable: ({ code }) => code === Code.Unavailable || code === Code.ResourceExhausted,
        onChange(state) {
          if (state === "passing") plugin.reportHealth("healthy");
          else plugin.reportHealth("degraded", "logger unavailable, log lines are kept back", ["logger"]);
        },
      });
      plugin.onStop(() => links.close());

      return {
        storage: {
          async createLink({ url }) {
            if (url === "" || url.length > maxUrlChars) {
              throw new ConnectError(`url must have 1 to ${maxUrlChars} characters`, Code.InvalidArgument);
            }
            const { link, created } = await links.create(url);
            if (created) log.add(`created ${link.code} for ${url}`);
            return { link: toWire(link), created };
          },
          visitLink({ code }) {
            const link = links.visit(code);
            if (link === undefined) return {};
            log.add(`visited ${code}`);
            return { link: toWire(link) };
          },
          getLink({ code }) {
            const link = links.get(code);
            return link === undefined ? {} : { link: toWire(link) };
          },
        },
      };
    },
  });
