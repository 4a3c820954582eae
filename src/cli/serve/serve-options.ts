import { CliError } from "../cli-error.js";
import { exitCodes } from "../exit-codes.js";

/** Options of `serve`, as they are given. */
export interface ServeOptions {
  readonly listen?: string;
  readonly adminToken?: string;
  readonly adminSocket?: string;
  readonly adminListen?: string;
  readonly joinToken?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly expose?: readonly string[];
  readonly config?: string;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

/** One `--expose PREFIX=TYPE`. @throws CliError `usage` */
export function readExpose(text: string): { readonly prefix: string; readonly type: string } {
  const equalsAt = text.lastIndexOf("=");
  const prefix = text.slice(0, Math.max(0, equalsAt));
  const type = text.slice(equalsAt + 1);
  if (prefix.startsWith("/") && type !== "") return { prefix, type };
  throw new CliError(
    exitCodes.usage,
    `--expose must be PREFIX=TYPE, such as /=app or /api=app, got ${JSON.stringify(text)}`,
  );
}
