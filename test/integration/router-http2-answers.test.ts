import { describe, expect, test } from "vitest";
import { startCall, type Version, within } from "../support/http-server.js";
import { dataFrame, headFrame, resetFrame, startRawHttp2Provider } from "../support/http2-raw-provider.js";
import {
  pluginRecord,
  startHttp1Provider,
  startHttp2Provider,
  startRouter,
  type TestProvider,
} from "../support/router-host.js";

const noError = 0;
const ok = [[":status", "200"]] as const;

/** A router in front of a provider that speaks `protocol` only. */
async function startFor(provider: TestProvider, protocol: "h1" | "h2c" = "h2c", options = {}) {
  const host = await startRouter(options);
  host.view.add(pluginRecord({ address: provider.address([protocol]) }));
  return {
    host,
    call(version: Version, method = "GET", headers: Record<string, string> = {}, path = "/x") {
      return startCall(host, version, { method, headers, path: `/services/logger/any${path}` });
    },
    async [Symbol.asyncDispose]() {
      await host[Symbol.asyncDispose]();
      await provider[Symbol.asyncDispose]();
    },
  };
}

/** Providers that begin an answer, and give up in its middle without an error code. */
const givingUp: readonly (readonly [how: string, () => Promise<TestProvider>])[] = [
  [
    "a provider of node:http2 that destroys its stream",
    () =>
      startHttp2Provider((stream) => {
        stream.respond({ ":status": 200 });
        stream.write("half", () => stream.destroy());
      }),
  ],
  [
    "a reset with the bytes before it",
    () =>
      startRawHttp2Provider({
        request({ socket }, id) {
          socket.write(Buffer.concat([headFrame(id, ok), dataFrame(id, "half"), resetFrame(id, noError)]));
        },
      }),
  ],
  [
    "a reset in place of the announced rest",
    () =>
      startRawHttp2Provider({
        request({ socket }, id) {
          const head = headFrame(id, [...ok, ["content-length", "10"]]);
          socket.write(Buffer.concat([head, dataFrame(id, "half")]), () => socket.write(resetFrame(id, noError)));
        },
      }),
  ],
];

describe.each<Version>(["1.1", "2"])("a caller over HTTP/%s", (version) => {
  test.each(givingUp)("sees an answer over HTTP/2 break off by %s", async (_how, startProvider) => {
    const provider = await startProvider();
    await using both = await startFor(provider);
    using call = both.call(version);
    call.request.end();
    await expect(within(5_000, "the end", call.answer())).rejects.toThrow(/cut off|aborted|error code/);
    expect(await both.host.event()).toMatchObject({ outcome: "provider-failed" });
    expect(both.host.view.failures).toHaveLength(1);
    expect(both.host.view.failures[0]).toContain("reset before the answer was complete");
  });

  test.each([
    { why: "a reset with its last bytes", together: true },
    { why: "a reset behind its last bytes", together: false },
  ])("gets an early answer whole if $why only says that no more of the request is wanted", async ({ together }) => {
    const provider = await startRawHttp2Provider({
      request({ socket }, id) {
        const answer = [headFrame(id, ok), dataFrame(id, "enough", true)];
        if (together) socket.write(Buffer.concat([...answer, resetFrame(id, noError)]));
        else socket.write(Buffer.concat(answer), () => socket.write(resetFrame(id, noError)));
      },
    });
    await using both = await startFor(provider);
    using call = both.call(version, "POST");
    call.request.write("a request that goes on");
    await within(5_000, "the head", call.head);
    call.request.end();
    const { status, text } = await within(5_000, "the answer", call.answer());
    expect([status, text]).toEqual([200, "enough"]);
    expect((await both.host.event()).outcome).toBe("completed");
    expect(both.host.view.failures).toEqual([]);
  });

  test("gets all of an answer that waited for it in the host while its provider ended and reset the stream", async () => {
    const piece = "x".repeat(16_000);
    const provider = await startRawHttp2Provider({
      request({ socket }, id) {
        const pieces = Array.from({ length: 4 }, (_, i) => dataFrame(id, piece, i === 3));
        socket.write(Buffer.concat([headFrame(id, ok), ...pieces, resetFrame(id, noError)]));
      },
    });
    await using both = await startFor(provider);
    using call = both.call(version);
    call.request.end();
    expect((await within(5_000, "the answer", call.answer())).text).toBe(piece.repeat(4));
    expect((await both.host.event()).outcome).toBe("completed");
  });

  test("gets 64 answers of status 103 over HTTP/2, and 502 instead of the one after them", async () => {
    let sessions = 0;
    const provider = await startHttp2Provider((stream, { ":path": path = "" }) => {
      if (stream.id === 1) sessions++;
      for (let i = 0; i < Number(path.slice(1)); i++) stream.additionalHeaders({ ":status": 103, link: `</${i}>` });
      stream.respond({ ":status": 200 });
      stream.end("ok");
    });
    await using both = await startFor(provider);
    const statusOf = async (path: string): Promise<number> => {
      using call = both.call(version, "GET", {}, path);
      call.request.end();
      return (await within(5_000, path, call.answer())).status;
    };
    expect(await statusOf("/64")).toBe(200);
    expect(await statusOf("/65")).toBe(502);
    expect(await statusOf("/2000")).toBe(502);
    expect(await statusOf("/0")).toBe(200);
    expect(sessions).toBe(1);
    expect(both.host.view.failures).toHaveLength(2);
  });
});

test("a gRPC caller gets `unavailable` where its provider resets a stream half-way without an error", async () => {
  const provider = await startHttp2Provider((stream) => {
    stream.respond({ ":status": 200, "content-type": "application/grpc" });
    stream.write(Buffer.from([0, 0, 0, 0, 1, 65]), () => stream.destroy());
  });
  await using both = await startFor(provider);
  using call = both.call("2", "POST", { "content-type": "application/grpc", te: "trailers" });
  call.request.end(Buffer.from([0, 0, 0, 0, 0]));
  const { trailers } = await within(5_000, "the answer", call.answer());
  expect(trailers["grpc-status"]).toBe("14");
  expect(both.host.view.failures).toHaveLength(1);
});

describe.each(["h1", "h2c"] as const)("the head of an answer over %s", (protocol) => {
  const maxHeaderBytes = 2_048;
  const start = async () => {
    const fields = (path: string) => ({ "x-a": "v".repeat(Number(path.slice(1))) });
    const provider =
      protocol === "h1"
        ? await startHttp1Provider((req, res) => {
            res.writeHead(200, fields(req.url ?? "")).end("ok");
          })
        : await startHttp2Provider((stream, { ":path": path = "" }) => {
            stream.respond({ ":status": 200, ...fields(path) });
            stream.end("ok");
          });
    const both = await startFor(provider, protocol, { maxHeaderBytes });
    return {
      ...both,
      provider,
      async statusOf(bytes: number): Promise<number> {
        using call = both.call("1.1", "GET", {}, `/${bytes}`);
        call.request.end();
        return (await within(5_000, "the answer", call.answer())).status;
      },
    };
  };

  test("may be as long as `maxHeaderBytes`; a longer one is a failure of the provider", async () => {
    await using both = await start();
    expect(await both.statusOf(1_800)).toBe(200);
    expect(await both.statusOf(2_100)).toBe(502);
    expect(await both.statusOf(40_000)).toBe(502);
    expect(await both.statusOf(10)).toBe(200);
    expect(both.host.view.failures).toHaveLength(2);
    // A session of HTTP/2 goes on.
    if (protocol === "h2c") expect(both.provider.connections()).toBe(1);
  });
});

test("trailers over HTTP/2 that are longer than `maxHeaderBytes` break the answer off", async () => {
  const provider = await startHttp2Provider((stream) => {
    stream.on("wantTrailers", () => stream.sendTrailers({ "x-t": "v".repeat(3_000) }));
    stream.respond({ ":status": 200 }, { waitForTrailers: true });
    stream.end("ok");
  });
  await using both = await startFor(provider, "h2c", { maxHeaderBytes: 2_048 });
  using call = both.call("2");
  call.request.end();
  await expect(within(5_000, "the end", call.answer())).rejects.toThrow(/cut off|aborted|error code/);
  expect(both.host.view.failures).toHaveLength(1);
});
