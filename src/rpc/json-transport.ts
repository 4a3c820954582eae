import http from "node:http";
import https from "node:https";
import { create, type DescMethodUnary, fromJsonString, type Message, toJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { codeFromHttpStatus, errorFromJsonBytes } from "@connectrpc/connect/protocol-connect";

/** Where and how calls are sent. */
export interface JsonTransportOptions {
  /** Without a slash at the end. */
  readonly baseUrl: string;
  /** For node:http: agent, socket path, connection. Asked for each call. */
  readonly request: () => http.RequestOptions;
  /** Largest answer in bytes. */
  readonly readMaxBytes: number;
}

interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly headers: Headers;
  readonly body: Buffer;
}

/**
 * Connect unary calls in JSON over HTTP/1.1, with `Content-Length` and without anything optional: what the simplest HTTP server
 * of any language understands. connect-node sends chunks, which many of those do not read. Redirects are not followed.
 */
export function jsonTransport(options: JsonTransportOptions): Transport {
  return {
    async unary(method, signal, _timeoutMs, header, input) {
      const message = toJsonString(method.input, create(method.input, input as never));
      const path = `/${method.parent.typeName}/${method.name}`;
      const answer = await post(options, path, Buffer.from(message), new Headers(header), signal);
      return {
        stream: false,
        service: method.parent,
        method: method as DescMethodUnary<never, never>,
        header: answer.headers,
        trailer: new Headers(),
        message: read(method.output, answer) as never,
      };
    },
    stream() {
      throw new ConnectError("only unary calls are made in JSON", Code.Unimplemented);
    },
  };
}

function read(schema: DescMethodUnary["output"], { status, contentType, headers, body }: Answer): Message {
  const isJson = /^application\/json\b/i.test(contentType);
  if (status === 200 && isJson) return fromJsonString(schema, body.toString("utf8"), { ignoreUnknownFields: true });
  if (status === 200) throw new ConnectError(`unsupported content type ${contentType || "none"}`, Code.Unknown);
  const fallback = new ConnectError(`HTTP ${status}`, codeFromHttpStatus(status));
  throw isJson ? errorFromJsonBytes(body, headers, fallback) : fallback;
}

function post(
  { baseUrl, request, readMaxBytes }: JsonTransportOptions,
  path: string,
  body: Buffer,
  header: Headers,
  signal: AbortSignal | undefined,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = (baseUrl.startsWith("https:") ? https : http).request(`${baseUrl}${path}`, {
      ...request(),
      method: "POST",
      headers: {
        ...Object.fromEntries(header),
        "content-type": "application/json",
        "content-length": body.length,
        "connect-protocol-version": "1",
      },
    });
    // Not by node:http's own `signal`, which hands its error to a socket that just then nobody may listen to.
    const abort = (): void => {
      reject(signal?.reason);
      call.destroy();
    };
    if (signal?.aborted === true) abort();
    signal?.addEventListener("abort", abort, { once: true });
    call.once("close", () => signal?.removeEventListener("abort", abort));
    call.on("error", reject);
    call.on("response", (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on("error", reject);
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > readMaxBytes) {
          call.destroy();
          reject(new ConnectError(`the answer is longer than ${readMaxBytes} bytes`, Code.ResourceExhausted));
        } else chunks.push(chunk);
      });
      response.on("end", () => {
        const { statusCode = 0, headers } = response;
        const contentType = headers["content-type"] ?? "";
        resolve({ status: statusCode, contentType, headers: new Headers(), body: Buffer.concat(chunks) });
      });
    });
    call.end(body);
  });
}
