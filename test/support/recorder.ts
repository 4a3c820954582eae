import type { WireProtocol } from "../../src/model/address.js";
import { startHttp1Provider, startHttp2Provider, type TestProvider } from "./router-host.js";

/** A request as a provider got it. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  /** Names and values in turn, names in lower case, without pseudo-headers. */
  readonly fields: readonly string[];
  /** Latin-1: one character for each byte. Empty while the body comes. */
  body: string;
  /** Whether the body came to its end. */
  complete: boolean;
}

/** A provider that answers everything with 200 and keeps what it saw. */
export interface Recorder extends AsyncDisposable {
  readonly provider: TestProvider;
  readonly protocols: readonly WireProtocol[];
  readonly seen: SeenRequest[];
}

const lowered = (raw: readonly string[]): string[] =>
  raw.flatMap((text, i) => (i % 2 === 1 ? [] : text.startsWith(":") ? [] : [text.toLowerCase(), raw[i + 1] as string]));

/** Starts a provider over HTTP/1.1 or HTTP/2 that keeps what it is asked. */
export async function startRecorder(protocol: WireProtocol): Promise<Recorder> {
  const seen: SeenRequest[] = [];
  const note = (method: string, path: string, raw: readonly string[]): SeenRequest => {
    const request = { method, path, fields: lowered(raw), body: "", complete: false };
    seen.push(request);
    return request;
  };
  const provider =
    protocol === "h1"
      ? await startHttp1Provider((req, res) => {
          const request = note(req.method ?? "", req.url ?? "", req.rawHeaders);
          req.setEncoding("latin1").on("data", (chunk: string) => {
            request.body += chunk;
          });
          req.on("end", () => {
            request.complete = true;
            res.end();
          });
        })
      : await startHttp2Provider((stream, headers) => {
          const raw = Object.entries(headers).flatMap(([name, value]) =>
            [value ?? ""].flat().flatMap((each) => [name, String(each)]),
          );
          const request = note(headers[":method"] ?? "", headers[":path"] ?? "", raw);
          stream.setEncoding("latin1").on("data", (chunk: string) => {
            request.body += chunk;
          });
          stream.on("end", () => {
            // It comes for a stream that was reset too.
            if (stream.aborted || stream.rstCode !== 0) return;
            request.complete = true;
            stream.respond({ ":status": 200 }, { endStream: true });
          });
        });
  return {
    provider,
    protocols: [protocol],
    seen,
    [Symbol.asyncDispose]: () => provider[Symbol.asyncDispose](),
  };
}
