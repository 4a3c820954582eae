import { EventEmitter, once } from "node:events";
import http2, { type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { Platform } from "../../src/index.js";
import { createAuthority } from "../support/certificates.js";
import { within } from "../support/http-server.js";

const authority = createAuthority();
const fast = { intervalMs: 50, retryMs: 20, startGraceMs: 0, fallThreshold: 1, riseThreshold: 1 };

/** A server that speaks HTTP/2 and nothing else, and answers every GET as it is told; other methods get 404. */
async function startHttp2Only(isSecure: boolean) {
  const { cert, key } = authority.issue();
  const server = isSecure ? http2.createSecureServer({ cert, key }) : http2.createServer();
  const paths: string[] = [];
  const polls = new EventEmitter();
  const sessions = new Set<http2.ServerHttp2Session>();
  let answer = (stream: ServerHttp2Stream): void => stream.respond({ ":status": 200 }, { endStream: true });
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
  });
  server.on("sessionError", () => {}).on("tlsClientError", () => {});
  server.on("stream", (stream, headers) => {
    stream.on("error", () => {}).resume();
    if (headers[":method"] !== "GET") return stream.respond({ ":status": 404 }, { endStream: true });
    paths.push(`${headers[":authority"]} ${headers[":path"]}`);
    polls.emit("poll");
    answer(stream);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    port,
    paths,
    sessions,
    polled: async (count: number) => {
      while (paths.length < count) await once(polls, "poll");
    },
    answers: (next: typeof answer) => {
      answer = next;
    },
    async [Symbol.asyncDispose]() {
      for (const session of sessions) session.destroy();
      server.close();
    },
  };
}

test.each([
  { what: "declared, in cleartext", scheme: "http", protocols: "h2c" },
  { what: "not declared, in cleartext", scheme: "http", protocols: "" },
  { what: "declared, over TLS", scheme: "https", protocols: "h2" },
  { what: "not declared, over TLS", scheme: "https", protocols: "" },
])("an endpoint with HTTP/2 only ($what) is polled at its health_path", async ({ scheme, protocols }) => {
  await using server = await startHttp2Only(scheme === "https");
  await using platform = new Platform({ health: fast, router: { tls: { ca: authority.ca } } });
  await platform.listen();
  const { runtimeId } = await platform.addPlugin({
    endpoint: `${scheme}://127.0.0.1:${server.port}/base`,
    declares: { selfId: "plain", metadata: { health_path: "/well?deep=1", ...(protocols && { protocols }) } },
  });
  const becomes = (state: string) =>
    within(
      5_000,
      state,
      new Promise<void>((resolve) => {
        const look = (): void => {
          if (platform.plugin(runtimeId).health !== state) return;
          off();
          resolve();
        };
        const off = platform.on("health", () => queueMicrotask(look));
        look();
      }),
    );
  await becomes("healthy");
  expect(server.paths[0]).toBe(`127.0.0.1:${server.port} /base/well?deep=1`);
  server.answers((stream) => stream.respond({ ":status": 503 }, { endStream: true }));
  await becomes("unhealthy");
  expect(platform.plugin(runtimeId).reason).toContain("/well?deep=1 answers 503");
  // One that never ends its answer is cut; its connections do not pile up.
  server.answers((stream) => stream.respond({ ":status": 200 }));
  await becomes("healthy");
  await within(5_000, "five more polls", server.polled(server.paths.length + 5));
  expect(server.sessions.size).toBeLessThanOrEqual(2);
});
