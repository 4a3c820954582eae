import { once } from "node:events";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import { type ClientHttp2Stream, constants, type ServerHttp2Stream } from "node:http2";
import { describe, expect, test } from "vitest";
import { callOn, connectHttp2, startCall, type Version, within } from "../support/http-server.js";
import {
  pluginRecord,
  type RouterHost,
  startHttp1Provider,
  startHttp2Provider,
  startRouter,
  type TestProvider,
} from "../support/router-host.js";

/** One call as a provider of either version sees it. */
interface Served {
  readonly path: string;
  readonly body: IncomingMessage | ServerHttp2Stream;
  respond(status: number, headers?: Record<string, string>): void;
  write(chunk: string | Buffer): boolean;
  onDrain(more: () => void): void;
  end(): void;
  /** Breaks off without an end. */
  die(): void;
  /** Resolves when the caller's side has given up. */
  readonly cancelled: Promise<unknown>;
}

type Serve = (served: Served) => void;

const byHttp1 = (serve: Serve): Promise<TestProvider> =>
  startHttp1Provider((request, response: ServerResponse) => {
    serve({
      path: request.url ?? "",
      body: request,
      respond: (status, headers = {}) => void response.writeHead(status, headers).flushHeaders(),
      write: (chunk) => response.write(chunk),
      onDrain: (more) => void response.once("drain", more),
      end: () => void response.end(),
      die: () => void response.destroy(),
      cancelled: new Promise((resolve) => response.once("close", resolve)),
    });
  });

const byHttp2 = (serve: Serve): Promise<TestProvider> =>
  startHttp2Provider((stream, headers) => {
    serve({
      path: String(headers[":path"]),
      body: stream,
      respond: (status, fields = {}) => {
        // Node sends a clean end before a reset, unless it is held back for trailers.
        stream.respond({ ":status": status, ...fields }, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({}));
      },
      write: (chunk) => stream.write(chunk),
      onDrain: (more) => void stream.once("drain", more),
      end: () => void stream.end(),
      die: () => stream.close(constants.NGHTTP2_CANCEL),
      cancelled: new Promise((resolve) => stream.once("close", resolve)),
    });
  });

const path = "/services/logger/any/x";

/** Another call on the same provider, and on the caller's connection if there is one, is served as ever. */
async function stillServes(host: RouterHost, version: Version): Promise<void> {
  using call = startCall(host, version, { path: "/services/logger/any/ping" });
  call.request.end();
  expect((await within(2_000, "another call", call.answer())).text).toBe("pong");
}

const serving =
  (serve: Serve): Serve =>
  (served) => {
    if (served.path !== "/ping") return serve(served);
    served.body.resume();
    served.respond(200);
    served.write("pong");
    served.end();
  };

const ways = [
  { version: "1.1", name: "HTTP/1.1", start: byHttp1, protocols: ["h1"] },
  { version: "1.1", name: "HTTP/2", start: byHttp2, protocols: ["h2c"] },
  { version: "2", name: "HTTP/1.1", start: byHttp1, protocols: ["h1"] },
  { version: "2", name: "HTTP/2", start: byHttp2, protocols: ["h2c"] },
] as const;

describe.each(ways)("HTTP/$version in, $name out", ({ version, start, protocols }) => {
  async function open(serve: Serve) {
    const provider = await start(serving(serve));
    const host = await startRouter();
    const { inFlight } = host.view.add(pluginRecord({ address: provider.address(protocols) }));
    return {
      provider,
      host,
      inFlight,
      async [Symbol.asyncDispose]() {
        await host[Symbol.asyncDispose]();
        await provider[Symbol.asyncDispose]();
      },
    };
  }

  test("the answer of a provider that does not read the request gets through, and the call ends", async () => {
    await using set = await open((served) => {
      served.respond(401, { "content-type": "text/plain" });
      served.write("no");
      served.end();
    });
    using call = startCall(set.host, version, { path });
    call.request.end(Buffer.alloc(3 * 1024 * 1024));
    const answer = await within(3_000, "the answer", call.answer());
    expect([answer.status, answer.text]).toEqual([401, "no"]);
    await within(1_000, "the provider's end", set.inFlight.whenIdle());
    expect(await within(1_000, "the event", set.host.event())).toMatchObject({
      status: 401,
      outcome: "completed",
      code: "unauthenticated",
    });
    await stillServes(set.host, version);
  });

  test("a provider that dies half-way breaks the answer off", async () => {
    await using set = await open((served) => {
      served.body.resume();
      served.respond(200);
      served.write("half");
      setImmediate(() => served.die());
    });
    using call = startCall(set.host, version, { path });
    call.request.end("x");
    await expect(within(2_000, "the break", call.answer())).rejects.toThrow(
      /cut off|aborted|hang up|reset|code|without an answer/,
    );
    expect(await within(1_000, "the event", set.host.event())).toMatchObject({
      outcome: "provider-failed",
      code: "unavailable",
    });
    expect(set.host.view.failures).toHaveLength(1);
    expect(set.inFlight.count).toBe(0);
    await stillServes(set.host, version);
  });

  test("a provider that dies before it answers is a 502", async () => {
    await using set = await open((served) => served.die());
    using call = startCall(set.host, version, { path });
    call.request.end("x");
    const answer = await within(2_000, "the answer", call.answer());
    expect([answer.status, JSON.parse(answer.text).code]).toEqual([502, "unavailable"]);
    await stillServes(set.host, version);
  });

  test("a caller that stops reading holds the provider back, and gets all of it when it reads on", async () => {
    const total = 24 * 1024 * 1024;
    let written = 0;
    let stalled: (() => void) | undefined;
    const stall = new Promise<void>((resolve) => {
      stalled = resolve;
    });
    await using set = await open((served) => {
      served.body.resume();
      served.respond(200);
      const chunk = Buffer.alloc(64 * 1024, 7);
      const more = (): void => {
        if (written >= total) return served.end();
        written += chunk.length;
        if (served.write(chunk)) setImmediate(more);
        else {
          const timer = setTimeout(() => stalled?.(), 150);
          served.onDrain(() => {
            clearTimeout(timer);
            more();
          });
        }
      };
      more();
    });
    using call = startCall(set.host, version, { path, method: "GET" });
    call.request.end();
    const { body } = await within(2_000, "the head", call.head);
    body.pause();
    await within(5_000, "the stall", stall);
    expect(written).toBeLessThan(total);
    await stillServes(set.host, version);
    let got = 0;
    body.on("data", (chunk: Buffer) => {
      got += chunk.length;
    });
    body.resume();
    await within(8_000, "the rest", once(body, "end"));
    expect(got).toBe(total);
    expect(await set.host.event(2)).toMatchObject({ outcome: "completed", responseBytes: total });
  });

  test("a caller that goes away before the answer is felt by the provider within 100 ms", async () => {
    let cancelled: Promise<unknown> | undefined;
    let arrived: (() => void) | undefined;
    const reached = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    await using set = await open((served) => {
      served.body.resume();
      cancelled = served.cancelled;
      arrived?.();
    });
    using call = startCall(set.host, version, { path });
    call.request.end("x");
    await within(1_000, "the request", reached);
    call.leave();
    await within(100, "the cancellation", cancelled as Promise<unknown>);
    expect(await within(1_000, "the event", set.host.event())).toMatchObject({
      outcome: "caller-gone",
      code: "canceled",
      status: 0,
    });
    expect(set.inFlight.count).toBe(0);
    expect(set.host.view.failures).toEqual([]);
    await stillServes(set.host, version);
  });

  test("a caller that goes away in the middle of both streams is felt by the provider", async () => {
    let cancelled: Promise<unknown> | undefined;
    await using set = await open((served) => {
      served.body.on("data", () => {});
      cancelled = served.cancelled;
      served.respond(200);
      served.write("one");
    });
    using call = startCall(set.host, version, { path });
    call.request.write("x");
    const { body } = await within(1_000, "the head", call.head);
    await within(1_000, "the first bytes", once(body, "data"));
    call.leave();
    await within(500, "the cancellation", cancelled as Promise<unknown>);
    expect(await within(1_000, "the event", set.host.event())).toMatchObject({ outcome: "caller-gone", status: 200 });
    await stillServes(set.host, version);
  });

  test("a request that its caller breaks off never looks complete to the provider", async () => {
    let cancelled: Promise<unknown> | undefined;
    let looksComplete = false;
    await using set = await open((served) => {
      served.body.on("end", () => {
        // A reset stream ends for its reader too; only the code tells.
        looksComplete = !("rstCode" in served.body) || served.body.rstCode === 0;
      });
      served.body.on("data", () => {});
      served.body.on("error", () => {});
      cancelled = served.cancelled;
      served.respond(200);
      served.write("begun");
    });
    let request: http.ClientRequest | ClientHttp2Stream;
    let leave: () => void;
    if (version === "2") {
      const session = connectHttp2(set.host);
      // Without it node:http2 would end the stream before it resets it.
      const stream = session.request({ ":path": path, ":method": "POST" }, { waitForTrailers: true });
      request = stream;
      leave = () => stream.close(constants.NGHTTP2_CANCEL);
      stream.on("close", () => session.destroy());
    } else {
      const call = http.request({ host: "127.0.0.1", port: set.host.port, path, method: "POST" });
      request = call;
      leave = () => void call.destroy();
    }
    request.on("error", () => {});
    request.write("half of it");
    await within(1_000, "the head", once(request, "response"));
    // Bytes on their way at the very moment of the break are what goes wrong most easily.
    request.write("more", leave);
    await within(1_000, "the cancellation", cancelled as Promise<unknown>);
    expect(looksComplete).toBe(false);
  });

  test("bytes go both ways as they come", async () => {
    await using set = await open((served) => {
      served.respond(200);
      served.write("ready;");
      served.body.on("data", (chunk: Buffer) => served.write(`got ${chunk};`));
      served.body.on("end", () => served.end());
    });
    using call = startCall(set.host, version, { path });
    call.request.write("a");
    const { body } = await within(1_000, "the head", call.head);
    let text = "";
    body.on("data", (chunk: Buffer) => {
      text += chunk;
    });
    const saw = async (wanted: string): Promise<void> => {
      while (!text.includes(wanted)) await once(body, "data");
    };
    await within(1_000, "the first answer", saw("got a;"));
    call.request.write("b");
    await within(1_000, "the second answer", saw("got b;"));
    call.request.end();
    await within(1_000, "the end", once(body, "end"));
    expect(text).toBe("ready;got a;got b;");
  });

  test("the host can end a call: it is refused before its answer, and broken off within", async () => {
    await using set = await open((served) => {
      served.body.resume();
      if (served.path === "/x") return;
      served.respond(200);
      served.write("begun");
    });
    using waiting = startCall(set.host, version, { path });
    waiting.request.end("x");
    using begun = startCall(set.host, version, { path: "/services/logger/any/begun" });
    begun.request.end("x");
    await within(1_000, "the head", begun.head);
    set.inFlight.abortAll(new Error("the plugin is drained"));
    const answer = await within(1_000, "the refusal", waiting.answer());
    expect([answer.status, JSON.parse(answer.text)]).toEqual([
      503,
      { code: "unavailable", message: "the plugin is drained" },
    ]);
    await expect(within(1_000, "the break", begun.answer())).rejects.toThrow();
    await within(1_000, "both events", set.host.event(2));
    expect(set.host.events.map(({ outcome }) => outcome)).toEqual(["aborted", "aborted"]);
    expect(set.inFlight.count).toBe(0);
  });
});

describe("calls on one HTTP/2 connection", () => {
  test("are not held up by a hundred others whose answers nobody reads", async () => {
    const chunk = Buffer.alloc(1024 * 1024, 1);
    await using provider = await startHttp2Provider((stream, headers) => {
      stream.respond({ ":status": 200 });
      stream.end(headers[":path"] === "/ping" ? "pong" : chunk);
    });
    await using host = await startRouter();
    host.view.add(pluginRecord({ address: provider.address(["h2c"]) }));
    const session = connectHttp2(host);
    try {
      const stuck = Array.from({ length: 100 }, () => callOn(session, { ":path": path, ":method": "GET" }));
      await within(5_000, "all heads", Promise.all(stuck.map((call) => call.head)));
      const other = callOn(session, { ":path": "/services/logger/any/ping", ":method": "GET" });
      expect((await within(2_000, "another call", other.answer())).text).toBe("pong");
      using foreign = startCall(host, "1.1", { path: "/services/logger/any/ping", method: "GET" });
      foreign.request.end();
      expect((await within(2_000, "a call of somebody else", foreign.answer())).text).toBe("pong");
    } finally {
      session.destroy();
    }
  });

  test("outlive a thousand calls that their callers cancel", async () => {
    await using provider = await startHttp2Provider((stream, headers) => {
      if (headers[":path"] === "/hang") return;
      stream.respond({ ":status": 200 });
      stream.write("begun");
      stream.on("data", (part: Buffer) => stream.end(part));
    });
    await using host = await startRouter();
    host.view.add(pluginRecord({ address: provider.address(["h2c"]) }));
    using patient = startCall(host, "2", { path });
    patient.request.write("");
    const { body } = await within(2_000, "the head", patient.head);
    for (let round = 0; round < 20; round++) {
      const session = connectHttp2(host);
      const calls = Array.from({ length: 55 }, () =>
        callOn(session, { ":path": "/services/logger/any/hang", ":method": "POST" }),
      );
      await once(calls[54]?.request as never, "ready").catch(() => {});
      session.destroy();
    }
    await within(5_000, "all events", host.event(1_000));
    body.resume();
    patient.request.end("still here");
    await within(2_000, "the patient call", once(body, "end"));
    expect(host.events.filter(({ outcome }) => outcome === "provider-failed")).toEqual([]);
  });

  test("are as many as the provider allows, each on a connection that has room", async () => {
    let most = 0;
    let open = 0;
    await using provider = await startHttp2Provider(
      (stream) => {
        most = Math.max(most, ++open);
        setTimeout(() => {
          open--;
          stream.respond({ ":status": 200 });
          stream.end("ok");
        }, 50);
      },
      { maxConcurrentStreams: 2 },
    );
    await using host = await startRouter();
    host.view.add(pluginRecord({ address: provider.address() }));
    const session = connectHttp2(host);
    try {
      const calls = Array.from({ length: 6 }, () => callOn(session, { ":path": path, ":method": "GET" }));
      const answers = await within(3_000, "all answers", Promise.all(calls.map((call) => call.answer())));
      expect(answers.map(({ text }) => text)).toEqual(Array(6).fill("ok"));
      expect(most).toBe(6);
      expect(provider.connections()).toBe(3);
    } finally {
      session.destroy();
    }
  });
});
