import { EventEmitter, once } from "node:events";
import { createServer, type Server } from "node:http";
import { setTimeout as after } from "node:timers/promises";

/** Something at a host's address that refuses every handshake, and remembers what it was asked. */
export class DecoyHost {
  readonly url: string;
  readonly paths: string[] = [];
  readonly #server: Server;
  readonly #asked = new EventEmitter();

  private constructor(server: Server, url: string) {
    this.#server = server;
    this.url = url;
    const body = JSON.stringify({ code: "failed_precondition", message: "this host serves another application" });
    server.on("request", (req, res) => {
      this.paths.push(req.url ?? "");
      req.resume();
      res.writeHead(400, { "content-type": "application/json", "content-length": body.length }).end(body);
      this.#asked.emit("asked");
    });
  }

  static async open(): Promise<DecoyHost> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    if (typeof address !== "object" || address === null) throw new Error("a TCP server has no port");
    return new DecoyHost(server, `http://127.0.0.1:${address.port}`);
  }

  /** Calls beside the handshake. */
  get others(): readonly string[] {
    return this.paths.filter((path) => !path.endsWith("/Handshake"));
  }

  /** Resolves when `isSo` holds, asked with each call; when `end` settles; or after this time. */
  async until(isSo: () => boolean, timeoutMs: number, end: Promise<unknown>): Promise<void> {
    const done = new AbortController();
    const { signal } = done;
    const limit = after(timeoutMs, undefined, { signal }).catch(() => undefined);
    const asked = (async () => {
      while (!isSo() && !signal.aborted) {
        await once(this.#asked, "asked", { signal }).catch(() => undefined);
      }
    })();
    await Promise.race([limit, asked, end]);
    done.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close").catch(() => undefined);
  }
}
