import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Command } from "commander";
import { AddPluginResponseSchema } from "../../gen/connectplugin/admin/v1/platform_pb.js";
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

interface AddOptions extends SessionOptions, SourceOptions, DeclarationOptions {
  /** Milliseconds. */
  readonly timeout?: number;
  readonly quiet?: boolean;
}

/** `add`: ends when the plugin serves, or when nothing of it is left. */
export const addCommand = (context: CliContext): Command =>
  withSession(
    withDeclaration(
      withSource(
        new Command("add")
          .description("add a plugin: a program that runs already, a module, or a program to start")
          .usage("[options] <url>  |  --module <specifier>  |  --worker <specifier>  |  -- <command> [arguments…]")
          .argument("[url]", "where the program listens: http://host:port or unix:/path")
          .option("--timeout <duration>", "limit of the whole operation, such as 30s", durationOption)
          .option("--quiet", "print the runtime id only"),
      ),
    ),
  ).action(async (url: string | undefined, options: AddOptions) => {
    const session = new HostSession(options, context);
    const { environment, program } = context;
    const { workingDirectory } = environment;
    const declares = readDeclaration(options);
    const request = {
      source: readSource(url, options, { program, address: session.address, workingDirectory }),
      ...(declares === undefined ? undefined : { declares }),
      ...(options.timeout === undefined ? undefined : { timeout: durationFromMs(options.timeout) }),
    };
    const answer = await session.ask((client) => client.addPlugin(request));
    session.print(AddPluginResponseSchema, answer, () =>
      startedText("added", answer.plugin, options.quiet === true, context.style),
    );
  });
