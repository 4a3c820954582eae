import { createHash, timingSafeEqual } from "node:crypto";
import { Code, ConnectError, type ContextKey, createContextKey, type Interceptor } from "@connectrpc/connect";
import { invalid } from "../../errors.js";
import { checkObject } from "../../http/check-object.js";
import { checkField } from "./bearer-token.js";

/** Options of {@link requireBearer}. */
export interface RequireBearerOptions<Who> {
  /**
   * Says whose token it is; undefined or null if it is nobody's. Or the tokens that are good, each with its owner.
   * Throw a ConnectError to say more than `unauthenticated`.
   */
  readonly tokens:
    | ReadonlyMap<string, Who>
    | ((token: string) => Who | undefined | null | Promise<Who | undefined | null>);
  /** Where implementations find the owner: `context.values.get(key)`. */
  readonly as?: ContextKey<Who | undefined>;
  /** The field that carries the token, lower-case. @default "authorization" */
  readonly header?: string;
}

/**
 * For a server: refuses calls without a good `Bearer` token as `unauthenticated`, and tells implementations whose it is.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names the option
 */
export function requireBearer<Who>(options: RequireBearerOptions<Who>): Interceptor {
  checkObject("requireBearer", options, ["tokens", "as", "header"]);
  const { tokens, as = createContextKey(undefined), header } = options;
  const field = checkField(header);
  if (typeof tokens !== "function" && !(tokens instanceof Map)) {
    throw invalid("tokens", "must be a Map of tokens to their owners, or a function that finds the owner");
  }
  const ownerOf = typeof tokens === "function" ? tokens : fromMap(tokens);
  return (next) => async (request) => {
    const [, token] = /^Bearer ([\x21-\x7e]+)$/i.exec(request.header.get(field) ?? "") ?? [];
    if (token === undefined) throw refused(`a Bearer token is needed in ${field}`);
    const who = await ownerOf(token);
    if (who === undefined || who === null) throw refused("the token is not accepted");
    request.contextValues.set(as, who);
    return next(request);
  };
}

const refused = (message: string): ConnectError =>
  new ConnectError(message, Code.Unauthenticated, { "www-authenticate": "Bearer" });

const digestOf = (token: string): Buffer => createHash("sha256").update(token).digest();

/** Compares digests in constant time, so that the time of an answer tells nothing of the tokens. */
function fromMap<Who>(tokens: ReadonlyMap<string, Who>): (token: string) => Who | undefined {
  const known = [...tokens].map(([token, who]) => ({ digest: digestOf(token), who }));
  return (token) => {
    const digest = digestOf(token);
    let found: Who | undefined;
    for (const { digest: other, who } of known) if (timingSafeEqual(digest, other)) found = who;
    return found;
  };
}
