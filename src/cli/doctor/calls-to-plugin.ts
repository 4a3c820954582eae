import { channel } from "node:diagnostics_channel";
import type { ClientRequest, IncomingMessage } from "node:http";

/** One call that the host made to a plugin over HTTP/1.1. */
export interface CallToPlugin {
  /** Such as `GetPluginInfo`. */
  readonly method: string;
  readonly status: number;
  /** Without parameters; empty if there was none. */
  readonly contentType: string;
}

const finished = channel("http.client.response.finish");

/** Looks at what the host in this process asks plugins, and at what these answer, without touching any of it. */
export class CallsToPlugin {
  readonly calls: CallToPlugin[] = [];
  readonly #host: string | undefined;

  /** `url` is where the plugin listens, if that is known before. */
  constructor(url?: string) {
    this.#host = url === undefined || !URL.canParse(url) ? undefined : new URL(url).host;
    finished.subscribe(this.#observe);
  }

  /** The last call of this method. */
  last(method: string): CallToPlugin | undefined {
    return this.calls.findLast((call) => call.method === method);
  }

  [Symbol.dispose](): void {
    finished.unsubscribe(this.#observe);
  }

  readonly #observe = (message: unknown): void => {
    const { request, response } = message as { readonly request: ClientRequest; readonly response: IncomingMessage };
    const method = /^.*\/connectplugin\.v1\.Plugin(?:Identity|Control)\/(\w+)$/.exec(request.path)?.[1];
    const host = String(request.getHeader("host"));
    // Modules that stand in are asked in this way, too; they have no address.
    if (method === undefined || host === "plugin.invalid" || (this.#host ?? host) !== host) return;
    const contentType = response.headers["content-type"]?.split(";")[0]?.trim() ?? "";
    this.calls.push({ method, status: response.statusCode ?? 0, contentType });
  };
}

/** The call as people read it: `GetHealth was answered 404 text/plain`. */
export const callText = ({ method, status, contentType }: CallToPlugin): string =>
  `${method} was answered ${status}${contentType === "" ? "" : ` ${contentType}`}`;
