import { type DescMessage, type MessageShape, toJson } from "@bufbuild/protobuf";
import type { Command } from "commander";
import { type AdminClient, adminClient } from "./admin-client.js";
import type { CliContext } from "./context.js";
import { type HostAddress, type HostOptions, hostAddress, hostVariables, readAuthorities } from "./host-address.js";
import { resolvePluginId } from "./plugin-ids.js";
import { remoteError } from "./remote-error.js";

/** Options of every command that talks to a running host. */
export interface SessionOptions extends HostOptions {
  readonly adminToken?: string;
  readonly ca?: string;
  readonly json?: boolean;
}

/** Limit of calls that only ask. */
export const askTimeoutMs = 10_000;

/** Adds the options of {@link SessionOptions} to a command. */
export const withSession = (command: Command): Command =>
  command
    .option("--host <url>", `where the host listens, such as http://127.0.0.1:4000 [${hostVariables.url}]`)
    .option("--socket <path>", `the host's admin socket, which needs no token [${hostVariables.socket}]`)
    .option("--admin-token <token>", `the host's admin token; better in the environment [${hostVariables.adminToken}]`)
    .option("--ca <file>", `authorities that the host's certificate may come from, PEM [${hostVariables.ca}]`)
    .option("--json", "print JSON for programs");

/** One run's way to one host. */
export class HostSession {
  readonly address: HostAddress;
  readonly #client: AdminClient;
  readonly #context: CliContext;
  readonly #isJson: boolean;

  /** @throws CliError `usage` if nothing says where the host is */
  constructor(options: SessionOptions, context: CliContext) {
    const { environment } = context;
    this.address = hostAddress(options, environment);
    const token = options.adminToken ?? environment.variables[hostVariables.adminToken];
    // A socket needs none, and one that was meant for another host must not go there.
    this.#client = adminClient(this.address, {
      token: this.address.kind === "socket" || token === "" ? undefined : token,
      ca: readAuthorities(options.ca, environment),
    });
    this.#context = context;
    this.#isJson = options.json === true;
  }

  /** Makes a call. @throws CliError that says what its failure means */
  async ask<T>(call: (client: AdminClient) => Promise<T>): Promise<T> {
    try {
      return await call(this.#client);
    } catch (error) {
      throw remoteError(error, this.address);
    }
  }

  /** Reads a stream. @throws CliError that says what its failure means */
  async *read<T>(open: (client: AdminClient) => AsyncIterable<T>): AsyncGenerator<T> {
    try {
      yield* open(this.#client);
    } catch (error) {
      throw remoteError(error, this.address);
    }
  }

  /** The runtime id that a person means by a beginning of it, or by a self id. @throws CliError `notFound`, `usage` */
  async pluginId(text: string): Promise<string> {
    const { plugins } = await this.ask((client) => client.listPlugins({}, { timeoutMs: askTimeoutMs }));
    return resolvePluginId(text, plugins);
  }

  /** Prints an answer: its protobuf JSON with every field for programs, or the text for people. */
  print<Schema extends DescMessage>(schema: Schema, message: MessageShape<Schema>, text: () => string): void {
    const { stdout } = this.#context.environment;
    if (!this.#isJson) return stdout.write(text());
    stdout.write(`${JSON.stringify(toJson(schema, message, { alwaysEmitImplicit: true }), null, 2)}\n`);
  }
}
