import http from "node:http";
import https from "node:https";
import { gunzipSync } from "node:zlib";

/** A request to the plugin that is checked. */
export interface ProbeRequest {
  readonly path: string;
  /** @default "POST" */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** @default no bytes, and `Content-Length: 0` */
  readonly body?: string | Uint8Array;
  /** Sends the body in chunks instead of with its length. @default false */
  readonly chunked?: boolean;
  /** Keeps connections. @default a connection for this request alone */
  readonly agent?: http.Agent;
}

/** What the plugin answered. */
export interface ProbeAnswer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  /** Without parameters, in lower case; empty if there is none. */
  readonly contentType: string;
  /** As it came. */
  readonly body: Buffer;
  /** Whether the connection was one that had carried a request before. */
  readonly reused: boolean;
}

const maxAnswerBytes = 4 * 1024 * 1024;

/** Why there was no answer. */
export class NoAnswer extends Error {
  override readonly name = "NoAnswer";
  /** `gone`: nobody listens, or the connection was cut; `broken`: an answer began and was not whole; `none`: nothing that is an answer came. */
  readonly kind: "gone" | "broken" | "none";

  constructor(kind: NoAnswer["kind"], message: string) {
    super(message);
    this.kind = kind;
  }
}

/** The answer as people read it: status, content type, beginning of the body. */
export function answerText({ status, contentType, body }: ProbeAnswer): string {
  const text = body.subarray(0, 120).toString("utf8");
  return `${status} ${contentType || "without content type"}${text === "" ? ", no body" : `: ${text}`}`;
}

/** The answer's body without gzip; undefined if it is not what its headers say. */
export function plainBody({ headers, body }: ProbeAnswer): Buffer | undefined {
  const encoding = headers["content-encoding"] ?? "identity";
  if (encoding === "identity") return body;
  if (encoding !== "gzip") return undefined;
  try {
    return gunzipSync(body);
  } catch {
    return undefined;
  }
}

/** Sends requests to one plugin over HTTP/1.1. Rejects with {@link NoAnswer}. */
export class PluginHttp {
  /** Without a slash at the end. */
  readonly url: string;
  /** Limit of one request. */
  readonly timeoutMs: number;
  readonly #hostSecret: () => string | undefined;

  /** @param hostSecret by what the plugin knows its host now, if it checks that (W-3.11) */
  constructor(url: string, timeoutMs: number, hostSecret: () => string | undefined = () => undefined) {
    this.url = url;
    this.timeoutMs = timeoutMs;
    this.#hostSecret = hostSecret;
  }

  send(request: ProbeRequest): Promise<ProbeAnswer> {
    const { path, method = "POST", headers = {}, body = "", chunked = false, agent } = request;
    const bytes = Buffer.from(body);
    const secret = this.#hostSecret();
    const own = secret === undefined ? {} : { "x-plugin-host-secret": secret };
    return new Promise((resolve, reject) => {
      const call = (this.url.startsWith("https:") ? https : http).request(`${this.url}${path}`, {
        method,
        agent: agent ?? false,
        headers: {
          ...own,
          ...headers,
          ...(chunked ? { "transfer-encoding": "chunked" } : { "content-length": bytes.length }),
        },
      });
      let kind: NoAnswer["kind"] = "none";
      const fail = (why: string): void => {
        clearTimeout(limit);
        call.destroy();
        reject(new NoAnswer(kind, why));
      };
      const limit = setTimeout(() => fail(`no whole answer within ${this.timeoutMs} ms`), this.timeoutMs);
      call.on("error", (error: NodeJS.ErrnoException) => {
        const isGone = error.code === "ECONNREFUSED" || error.code === "ECONNRESET";
        if (isGone && kind === "none") kind = "gone";
        fail(why(error));
      });
      call.on("response", (response) => {
        kind = "broken";
        const chunks: Buffer[] = [];
        let total = 0;
        response.on("data", (chunk: Buffer) => {
          total += chunk.length;
          if (total > maxAnswerBytes) fail(`an answer of more than ${maxAnswerBytes} bytes`);
          else chunks.push(chunk);
        });
        response.on("error", (error) => fail(`an answer that breaks off: ${error.message}`));
        response.on("end", () => {
          clearTimeout(limit);
          const { statusCode: status = 0, headers: answered } = response;
          const contentType = (answered["content-type"] ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
          resolve({ status, headers: answered, contentType, body: Buffer.concat(chunks), reused: call.reusedSocket });
        });
      });
      if (chunked && bytes.length > 1) call.write(bytes.subarray(0, 1));
      call.end(chunked && bytes.length > 1 ? bytes.subarray(1) : bytes);
    });
  }

  /** Calls a procedure in JSON. */
  ask(path: string, message: unknown = {}): Promise<ProbeAnswer> {
    return this.send({ path, headers: { "content-type": "application/json" }, body: JSON.stringify(message) });
  }
}

function why(error: NodeJS.ErrnoException): string {
  if (error.code?.startsWith("HPE_") === true) return `bytes that are no HTTP/1.1 (${error.message})`;
  if (error.code === "ECONNRESET") return "the connection was closed without an answer";
  return error.message;
}
