import type { RequestHead } from "./http/exchange.js";
import type { CheckedIngress } from "./ingress-options.js";
import type { Clock } from "./internal/clock.js";
import type { Principal } from "./model/principal.js";
import type { ConnectCode } from "./router/connect-code.js";

/** An exposed service that a request is for. */
export interface IngressMatch {
  readonly ingress: CheckedIngress;
  /** What follows the prefix, with the query and without slashes in front, still escaped. */
  readonly restAndQuery: string;
}

/** Why a request to an exposed service is refused. */
export interface IngressRefusal {
  readonly code: ConnectCode;
  readonly httpStatus: number;
  readonly reason: string;
}

/** What the services of a host that are exposed to callers without a plugin's identity need. */
export interface IngressParts {
  /** Longest prefix first. */
  readonly exposed: readonly CheckedIngress[];
  readonly clock: Clock;
  /** Told of a check that threw or took too long. */
  readonly onError: (error: unknown) => void;
}

/** The head with a `header` that can be taken off it, as in `({ header }) => header("x-user")`. */
const readable = (head: RequestHead): RequestHead => {
  const { method, target, authority, httpVersion, fields, connection } = head;
  return { method, target, authority, httpVersion, fields, connection, header: (name) => head.header(name) };
};

const signInFirst: IngressRefusal = {
  code: "unauthenticated",
  httpStatus: 401,
  reason: "this service needs you to sign in",
};
const checkFailed: IngressRefusal = {
  code: "unavailable",
  httpStatus: 503,
  reason: "the host could not find out who you are; try again later",
};

/** The services that callers without a plugin's identity may reach. */
export class Ingress {
  readonly #parts: IngressParts;
  /** Whether something is exposed at `/`. */
  readonly hasRoot: boolean;

  constructor(parts: IngressParts) {
    this.#parts = parts;
    this.hasRoot = parts.exposed.some(({ prefix }) => prefix === "");
  }

  /** The service with the longest prefix that fits. A prefix fits at the end of a segment only. */
  find(target: string): IngressMatch | undefined {
    for (const ingress of this.#parts.exposed) {
      const { prefix } = ingress;
      if (!target.startsWith(prefix)) continue;
      const rest = target.slice(prefix.length);
      if (/^(?:$|[/?])/.test(rest)) return { ingress, restAndQuery: rest.replace(/^\/+/, "") };
    }
    return undefined;
  }

  /** Who a request comes from, or why it may not go on. Never rejects. */
  async admit(
    { access, accessTimeoutMs, prefix }: CheckedIngress,
    head: RequestHead,
  ): Promise<Principal | IngressRefusal> {
    if (access === "open") return { kind: "ingress", user: undefined };
    const late = new Error(`the check of ${prefix || "/"} took longer than ${accessTimeoutMs} ms`);
    let limit = { cancel: (): void => {} };
    try {
      const timeout = new Promise<never>((_resolve, reject) => {
        limit = this.#parts.clock.after(accessTimeoutMs, () => reject(late));
      });
      const user: unknown = await Promise.race([access(readable(head)), timeout]);
      // An empty name is no name: `return req.header("x-user") ?? ""` must not let everybody in.
      return typeof user === "string" && user !== "" ? { kind: "ingress", user } : signInFirst;
    } catch (error) {
      this.#parts.onError(error);
      return checkFailed;
    } finally {
      limit.cancel();
    }
  }
}
