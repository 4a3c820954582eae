import { once } from "node:events";
import http2, { type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { targetAddress } from "../../../src/router/target-address.js";
import { Http2Upstream, type ProbeResult } from "../../../src/router/upstream-http2.js";
import { within } from "../../support/http-server.js";
import { manualClock } from "../../support/manual-clock.js";

async function startProvider() {
  const server = http2.createServer();
  const sessions: ServerHttp2Session[] = [];
  server.on("session", (session) => sessions.push(session));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    sessions,
    async [Symbol.asyncDispose]() {
      for (const session of sessions) session.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

test("a session that nobody wants any more when it is ready is closed like any that is idle", async () => {
  await using provider = await startProvider();
  const clock = manualClock();
  const target = targetAddress({ kind: "http", url: provider.url, protocols: ["h2c"] });
  if (target === undefined) throw new Error("no target");
  const options = {
    clock,
    connectTimeoutMs: 5_000,
    idleSessionMs: 30_000,
    maxStreamsPerSession: 100,
    maxHeaderBytes: 65_536,
  };
  const upstream = new Http2Upstream(target, options);
  // Asks without a call, as a caller does who leaves before the connection is there.
  const result = await within(2_000, "the session", new Promise<ProbeResult>((resolve) => upstream.probe(resolve)));
  expect(result).toEqual({ kind: "speaks" });
  const [session] = provider.sessions;
  if (session === undefined) throw new Error("no session");
  clock.advance(29_999);
  expect(session.destroyed).toBe(false);
  const closed = once(session, "close");
  clock.advance(1);
  await within(2_000, "the end of the session", closed);
  upstream.close();
});
