import { once } from "node:events";
import http2, { type ClientHttp2Session, type OutgoingHttpHeaders } from "node:http2";
import { expect, test } from "vitest";
import { deferred } from "../../src/internal/deferred.js";
import { within } from "../support/http-server.js";
import { pluginRecord, startHttp1Provider, startRouter } from "../support/router-host.js";

const path = "/services/logger/any/x";

/** A router with one provider that answers `ok`, at once or (for `/slow`) when it is told to. */
async function start() {
  const paths: string[] = [];
  const { promise: arrived, resolve: arrive } = deferred<() => void>();
  const provider = await startHttp1Provider((req, res) => {
    paths.push(req.url ?? "");
    if (req.url === "/slow") arrive(() => res.end("ok"));
    else res.end("ok");
  });
  const host = await startRouter();
  host.view.add(pluginRecord({ address: provider.address(["h1"]) }));
  const sessions: ClientHttp2Session[] = [];
  return {
    host,
    paths,
    /** Lets the slow call have its answer, once it has arrived. */
    arrived,
    connect: () => {
      // Node's client would keep such heads to itself.
      const session = http2.connect(host.url, { maxSendHeaderBlockLength: 1 << 24 });
      session.on("error", () => {});
      sessions.push(session);
      return session;
    },
    async [Symbol.asyncDispose]() {
      for (const session of sessions) session.destroy();
      await host[Symbol.asyncDispose]();
      await provider[Symbol.asyncDispose]();
    },
  };
}

type Outcome = number | "reset";

/** The status of the answer, or that the stream was cut off, alone or with its connection. */
async function outcomeOf(session: ClientHttp2Session, headers: OutgoingHttpHeaders): Promise<Outcome> {
  const stream = session.request({ ":path": path, ...headers });
  stream.on("error", () => {}).resume();
  let outcome: Outcome = "reset";
  stream.on("response", (answer) => {
    outcome = Number(answer[":status"]);
  });
  await within(5_000, "the end of the stream", new Promise<void>((resolve) => stream.on("close", resolve)));
  return outcome;
}

const fieldsOf = (bytes: number): OutgoingHttpHeaders =>
  Object.fromEntries(Array.from({ length: bytes / 2_000 }, (_, i) => [`x-${i}`, "y".repeat(2_000)]));

test("over HTTP/2, a head that is too large is answered with 431, before and after the caller has heard of the limit", async () => {
  await using both = await start();
  const session = both.connect();
  expect(await outcomeOf(session, fieldsOf(40_000))).toBe(431);
  expect(await outcomeOf(session, {})).toBe(200);
  expect(await outcomeOf(session, fieldsOf(100_000))).toBe(431);
  expect(await outcomeOf(session, { "x-a": "y".repeat(40_000) })).toBe(431);
  expect(await outcomeOf(session, fieldsOf(12_000))).toBe(200);
  expect(both.paths).toEqual(["/x", "/x"]);
});

test("over HTTP/2, a head that is several times too large is cut off, and nobody gets to see it", async () => {
  await using both = await start();
  expect(await outcomeOf(both.connect(), fieldsOf(400_000))).toBe("reset");
  const session = both.connect();
  expect(await outcomeOf(session, {})).toBe(200);
  expect(await outcomeOf(session, fieldsOf(400_000))).toBe("reset");
  expect(await outcomeOf(both.connect(), {})).toBe(200);
  expect(both.paths).toEqual(["/x", "/x"]);
});

test("over HTTP/2, who sends what is no request gets 400 and has to connect again; its other calls go on", async () => {
  await using both = await start();
  const session = both.connect();
  const goaway = once(session, "goaway");
  const ended = once(session, "close");
  const slow = outcomeOf(session, { ":path": "/services/logger/any/slow" });
  const answer = await within(5_000, "the call", both.arrived);
  expect(await outcomeOf(session, { ":path": "/services/logger/any/x#hidden" })).toBe(400);
  const [code] = await within(5_000, "the notice", goaway);
  expect(code).toBe(0);
  answer();
  expect(await slow).toBe(200);
  await within(5_000, "the end of the connection", ended);
  expect(both.paths).toEqual(["/slow"]);
});
