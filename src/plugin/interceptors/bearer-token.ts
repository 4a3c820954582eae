import { Code, ConnectError, type Interceptor, type StreamResponse, type UnaryResponse } from "@connectrpc/connect";
import { invalid } from "../../errors.js";
import { checkObject } from "../../http/check-object.js";
import { tellingStart } from "./stream-start.js";

/** Options of {@link bearerToken}. */
export interface BearerTokenOptions {
  /** The field that carries it, lower-case. A host uses `authorization` itself: between plugins take another one. @default "authorization" */
  readonly header?: string;
}

/** Gives a token. `refresh` is true after one was refused: what was kept is not good any more. */
export type TokenSource = (request: { readonly refresh: boolean }) => string | Promise<string>;

const namePattern = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;

/**
 * Puts `Bearer <token>` into each call. With a function a call that is refused as `unauthenticated` is made once again with a
 * fresh token, streams only if none of what they send was taken. Calls that are refused together ask for one fresh token.
 *
 * @throws PluginHostError `INVALID_ARGUMENT` that names the option, or `token` if that is none
 */
export function bearerToken(token: string | TokenSource, options: BearerTokenOptions = {}): Interceptor {
  checkObject("bearerToken", options, ["header"]);
  const field = checkField(options.header);
  if (typeof token === "string") checkToken(token);
  else if (typeof token !== "function") throw invalid("token", "must be a text or a function that gives one");
  const source = new Tokens(typeof token === "string" ? () => token : token);
  return (next) => async (request) => {
    const first = await source.current();
    let taken = false;
    const send = (value: string): Promise<UnaryResponse | StreamResponse> => {
      const header = new Headers(request.header);
      header.set(field, `Bearer ${value}`);
      if (!request.stream) return next({ ...request, header });
      const message = tellingStart(request.message as AsyncIterable<never>, () => {
        taken = true;
      });
      return next({ ...request, header, message } as typeof request);
    };
    try {
      return await send(first);
    } catch (error) {
      const isRefused = ConnectError.from(error).code === Code.Unauthenticated;
      if (!isRefused || taken || typeof token === "string" || request.signal.aborted) throw error;
      const fresh = await source.after(first);
      if (fresh === first) throw error;
      return send(fresh);
    }
  };
}

/** The token in use, and the one request for the next. */
class Tokens {
  readonly #source: TokenSource;
  #refreshed: { readonly instead: string; readonly token: Promise<string> } | undefined;

  constructor(source: TokenSource) {
    this.#source = source;
  }

  async current(): Promise<string> {
    const token = await this.#ask(false);
    // A source without a memory of its own would give the refused one for ever.
    return token === this.#refreshed?.instead ? this.#refreshed.token : token;
  }

  /** The token after one that was refused. */
  after(refused: string): Promise<string> {
    if (this.#refreshed?.instead === refused) return this.#refreshed.token;
    const token = this.#ask(true);
    const refreshed = { instead: refused, token };
    this.#refreshed = refreshed;
    token.catch(() => {
      if (this.#refreshed === refreshed) this.#refreshed = undefined;
    });
    return token;
  }

  async #ask(refresh: boolean): Promise<string> {
    return checkToken(await this.#source({ refresh }));
  }
}

/** @throws PluginHostError `INVALID_ARGUMENT` if it cannot stand in a field; the message never shows it */
function checkToken(token: unknown): string {
  if (typeof token === "string" && /^[\x21-\x7e]+$/.test(token)) return token;
  throw invalid("token", "must be a text of visible ASCII characters that is not empty");
}

/** @throws PluginHostError `INVALID_ARGUMENT` */
export function checkField(name = "authorization"): string {
  if (namePattern.test(name)) return name;
  throw invalid("header", `must be the name of a field in lower case, got ${JSON.stringify(name)}`);
}
