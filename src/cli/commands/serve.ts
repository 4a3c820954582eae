import { Command } from "commander";
import type { CliContext } from "../context.js";
import { hostVariables } from "../host-address.js";
import { collect } from "../plugin-options.js";
import type { ServeOptions } from "../serve/serve-options.js";

/** `serve`: a host of its own. */
export const serveCommand = (context: CliContext): Command =>
  new Command("serve")
    .description("run a host; its first line says where it listens")
    .option("--listen <host:port>", "where to listen; port 0 for any that is free (default: 127.0.0.1:0)")
    .option(
      "--admin-token <token>",
      `turns the admin service on; better in the environment [${hostVariables.adminToken}]`,
    )
    .option("--admin-socket <path>", "a Unix socket for the admin service, which needs no token there")
    .option(
      "--admin-listen <host:port>",
      "a port of its own for the admin service, with the host's certificate if it has one",
    )
    .option("--join-token <token>", `admits plugins that register by themselves [${hostVariables.joinToken}]`)
    .option(
      "--tls-cert <file>",
      "a certificate, PEM: the port speaks TLS; read again when the file changes, and on SIGHUP",
    )
    .option("--tls-key <file>", "its private key, PEM")
    .option("--expose <prefix=type>", "let anybody call a service type under a path; may be repeated", collect)
    .option("--config <file>", "a configuration file, YAML or JSON")
    .option("--verbose", "log every step and every call")
    .option("--json", "first line and log as JSON")
    .action(async (options: ServeOptions) => {
      // The host's code is loaded by the one command that runs a host.
      const { serve } = await import("../serve/serve.js");
      context.endWith(await serve(options, context.environment));
    });
