import { toJson } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Command } from "commander";
import { WatchEventsResponseSchema } from "../../gen/connectplugin/admin/v1/platform_pb.js";
import { CliError } from "../cli-error.js";
import type { CliContext } from "../context.js";
import { firstSignal } from "../environment.js";
import { eventLine } from "../event-text.js";
import { exitCodes } from "../exit-codes.js";
import { addressText } from "../host-address.js";
import { collect } from "../plugin-options.js";
import { HostSession, type SessionOptions, withSession } from "../session.js";

interface WatchOptions extends SessionOptions {
  readonly name?: readonly string[];
}

/** `watch`: everything that happens, until a signal comes, nobody reads any more, or the host is gone. */
export const watchCommand = (context: CliContext): Command =>
  withSession(
    new Command("watch")
      .description("show what happens, as it happens; ends with Ctrl-C")
      .option("--name <event>", "only events of this name, such as health or call; may be repeated", collect),
  ).action(async (options: WatchOptions) => {
    const session = new HostSession(options, context);
    const { environment, style } = context;
    const { stdout } = environment;
    const end = new AbortController();
    const { signal, off } = firstSignal(environment);
    void signal.then(() => end.abort());
    const ended = AbortSignal.any([end.signal, stdout.closed]);
    const names = [...(options.name ?? [])];
    try {
      for await (const event of session.read((client) => client.watchEvents({ names }, { signal: ended }))) {
        if (options.json === true) {
          const json = toJson(WatchEventsResponseSchema, event, { alwaysEmitImplicit: true });
          stdout.write(`${JSON.stringify(json)}\n`);
          continue;
        }
        const { name, time, details = {}, dropped } = event;
        const at = time === undefined ? environment.now() : timestampMs(time);
        if (dropped > 0n)
          stdout.write(style.yellow(`${dropped} events were dropped: they come faster than they are read\n`));
        stdout.write(eventLine({ name, at, details }, style));
      }
    } catch (error) {
      if (!ended.aborted) throw error;
    } finally {
      off();
    }
    if (ended.aborted) return;
    throw new CliError(exitCodes.unreachable, `the host at ${addressText(session.address)} has stopped`);
  });
