import { ConnectError } from "@connectrpc/connect";
import { definePlugin } from "connect-plugin-host/plugin";
import { type Link, Storage } from "../gen/storage/v1/storage_pb.js";
import { readText } from "./read-text.js";

const maxUrlChars = 2_048;
const maxBodyBytes = 16_384;
const storageTimeoutMs = 5_000;

/** What people are told with a status that is not 200. */
class Refusal extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

/**
 * The URL shortener as people see it: `POST /shorten`, `GET /<code>`, `GET /stats/<code>`. It keeps nothing itself.
 * While storage is away it is degraded, and stays in service, so that people get an answer with the reason.
 */
export const apiPlugin = definePlugin({
  id: "api-plugin",
  version: "1.0.0",
  requires: { storage: { service: Storage, minVersion: "1.0.0" } },
  provides: { shortener: { handler: "fetch" } },
  setup(plugin) {
    const storage = plugin.client("storage");

    const shorten = async (request: Request): Promise<Response> => {
      const url = await requestedUrl(request);
      const { link, created } = await storage.createLink({ url }, callOptions(request));
      return Response.json(describe(link, request), { status: created ? 201 : 200 });
    };
    const visit = async (code: string, request: Request): Promise<Response> => {
      const { link } = await storage.visitLink({ code }, callOptions(request));
      // A 302 is not kept by browsers, so that each visit is counted.
      return new Response(null, {
        status: 302,
        headers: { location: existing(link, code).url, "cache-control": "no-store" },
      });
    };
    const stats = async (code: string, request: Request): Promise<Response> => {
      const { link } = await storage.getLink({ code }, callOptions(request));
      const { visits, createdAtMs } = existing(link, code);
      return Response.json({
        ...describe(link, request),
        visits,
        createdAt: new Date(Number(createdAtMs)).toISOString(),
      });
    };

    const answer = (request: Request): Response | Promise<Response> => {
      const [first = "", second, ...more] = new URL(request.url).pathname.slice(1).split("/");
      if (first === "shorten" && second === undefined) {
        if (request.method !== "POST") throw new Refusal(405, "use POST", { allow: "POST" });
        return shorten(request);
      }
      if (request.method !== "GET") throw new Refusal(405, "use GET", { allow: "GET" });
      if (first === "") return new Response("POST a JSON object with a url to /shorten\n");
      if (first === "stats" && second !== undefined && more.length === 0) return stats(second, request);
      if (second === undefined) return visit(first, request);
      throw new Refusal(404, "there is nothing at this path");
    };
    return {
      shortener: async (request) => {
        try {
          return await answer(request);
        } catch (error) {
          return refuse(error);
        }
      },
    };
  },
});

const callOptions = ({ signal }: Request) => ({ signal, timeoutMs: storageTimeoutMs });

/** @throws Refusal with 400 or 413 */
async function requestedUrl(request: Request): Promise<string> {
  const text = await readText(request, maxBodyBytes);
  if (text === undefined) throw new Refusal(413, `the body must have at most ${maxBodyBytes} bytes`);
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch {
    throw new Refusal(400, 'the body must be JSON, such as {"url":"https://example.org/"}');
  }
  const url = typeof given === "object" && given !== null && "url" in given ? given.url : undefined;
  if (typeof url !== "string" || !URL.canParse(url)) throw new Refusal(400, "url must be an absolute URL");
  const { protocol, href } = new URL(url);
  // Browsers would follow `javascript:` and the like in the name of this site.
  if (protocol !== "http:" && protocol !== "https:") throw new Refusal(400, "url must begin with http: or https:");
  if (href.length > maxUrlChars) throw new Refusal(400, `url must have at most ${maxUrlChars} characters`);
  return href;
}

/** The host says where people reached it. */
function describe(link: Link | undefined, { headers }: Request): object {
  const { code = "", url = "" } = link ?? {};
  const base = `${headers.get("x-forwarded-proto") ?? "http"}://${headers.get("x-forwarded-host") ?? "localhost"}`;
  return { code, shortUrl: `${base}/${code}`, url };
}

/** @throws Refusal with 404 */
function existing(link: Link | undefined, code: string): Link {
  if (link === undefined) throw new Refusal(404, `there is no link ${JSON.stringify(code)}`);
  return link;
}

function refuse(error: unknown): Response {
  if (error instanceof Refusal) {
    return Response.json({ error: error.message }, { status: error.status, headers: error.headers });
  }
  if (!(error instanceof ConnectError)) throw error;
  return Response.json(
    { error: `storage is not available: ${error.rawMessage}` },
    { status: 503, headers: { "retry-after": "1" } },
  );
}
