import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Command } from "commander";
import { ReplacePluginResponseSchema } from "../../gen/connectplugin/admin/v1/platform_pb.js";
import type { CliContext } from "../context.js";
import { durationOption } from "../option-values.js";
import {
  type DeclarationOptions,
  readDeclaration,
  readSource,
  type SourceOptions,
  withDeclaration,
  withSource,
} from "../plugin-options.js";
import { HostSession, type SessionOptions, withSession } from "../session.js";
import { startedText } from "../started-text.js";

interface ReplaceOptions extends SessionOptions, SourceOptions, DeclarationOptions {
  /** Milliseconds. */
  readonly timeout?: number;
  readonly quiet?: boolean;
  readonly allowMissingServices?: boolean;
}

/** `replace`: ends when the new plugin serves and the old one is gone, or when the old one serves as before. */
export const replaceCommand = (context: CliContext): Command =>
  withSession(
    withDeclaration(
      withSource(
        new Command("replace")
          .description("put a new plugin in the place of a running one without a failed call")
          .usage(
            "[options] <id> <url>  |  <id> --module <specifier>  |  <id> --worker <specifier>  |  <id> -- <command> [arguments…]",
          )
          .argument("<id>", "the plugin to replace: its runtime id, a beginning of it, or its self id")
          .argument("[url]", "where the new program listens: http://host:port or unix:/path")
          .option("--timeout <duration>", "limit of everything up to the switch, such as 30s", durationOption)
          .option("--allow-missing-services", "even if others need services that the new one lacks")
          .option("--quiet", "print the new runtime id only"),
      ),
    ),
  ).action(async (id: string, url: string | undefined, options: ReplaceOptions) => {
    const session = new HostSession(options, context);
    const { environment, program } = context;
    const { workingDirectory } = environment;
    const source = readSource(url, options, { program, address: session.address, workingDirectory });
    const declares = readDeclaration(options);
    const runtimeId = await session.pluginId(id);
    const request = {
      runtimeId,
      source,
      allowMissingServices: options.allowMissingServices === true,
      ...(declares === undefined ? undefined : { declares }),
      ...(options.timeout === undefined ? undefined : { timeout: durationFromMs(options.timeout) }),
    };
    const answer = await session.ask((client) => client.replacePlugin(request));
    session.print(ReplacePluginResponseSchema, answer, () =>
      startedText(`replaced ${runtimeId} by`, answer.plugin, options.quiet === true, context.style),
    );
  });
