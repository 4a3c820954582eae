import http from "node:http";
import { describe, expect, test } from "vitest";
import { anyPath, patienceMs } from "../long/router-matrix/cell.js";
import { startCall, within } from "../support/http-server.js";
import {
  pluginRecord,
  startHttp1Provider,
  startHttp2Provider,
  startRawProvider,
  startRouter,
} from "../support/router-host.js";

describe("deadlines", () => {
  const forms = [
    { field: "connect-timeout-ms", type: "application/json", given: "5000", read: Number },
    { field: "grpc-timeout", type: "application/grpc-web+proto", given: "5S", read: grpcTimeoutMs },
  ];

  test.each(forms)("$field is passed on with what is left of it", async ({ field, type, given, read }) => {
    await using provider = await startHttp1Provider((request, response) => {
      response.end(String(request.headers[field]));
    });
    await using host = await startRouter();
    host.view.add(pluginRecord({ address: provider.address(["h1"]) }));
    using call = startCall(host, "1.1", { path: anyPath, headers: { "content-type": type, [field]: given } });
    call.request.end("{}");
    const left = read((await within(patienceMs, "the answer", call.answer())).text);
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(5_000);
  });
});

/** What a provider can do about a request whose body waits to be asked for. */
interface Asked {
  /** Asks for the body, and answers with its length. */
  go(): void;
  refuse(): void;
  /** Does not ask, and answers with the length of the body when it comes nevertheless. */
  wait(): void;
}

const lengthOf = (body: NodeJS.ReadableStream, tell: (length: number) => void): void => {
  let length = 0;
  body.on("data", (part: Buffer) => {
    length += part.length;
  });
  body.on("end", () => tell(length));
};

const out1 = (protocols: readonly string[]): boolean => protocols[0] === "h1";

const outs = [
  {
    out: "1.1",
    protocols: ["h1"],
    start: async (answer: (asked: Asked) => void) => {
      const server = http.createServer();
      server.on("checkContinue", (request: http.IncomingMessage, response: http.ServerResponse) => {
        const wait = (): void => lengthOf(request, (length) => response.end(String(length)));
        answer({
          go: () => {
            response.writeContinue();
            wait();
          },
          refuse: () => response.writeHead(417).end("no"),
          wait,
        });
      });
      return startRawProvider((socket) => void server.emit("connection", socket));
    },
  },
  {
    out: "2",
    protocols: ["h2c"],
    start: (answer: (asked: Asked) => void) =>
      startHttp2Provider((stream) => {
        const wait = (): void =>
          lengthOf(stream, (length) => {
            if (stream.destroyed) return;
            stream.respond({ ":status": 200 });
            stream.end(String(length));
          });
        answer({
          go: () => {
            stream.additionalHeaders({ ":status": 100 });
            wait();
          },
          refuse: () => {
            stream.respond({ ":status": 417 });
            stream.end("no");
          },
          wait,
        });
      }),
  },
] as const;

const unitsMs: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 0.001, n: 0.000_001 };

function grpcTimeoutMs(text: string): number {
  return Number(text.slice(0, -1)) * (unitsMs[text.at(-1) ?? ""] ?? Number.NaN);
}

test("a connection that nobody uses is closed by the host, not left to its provider", async () => {
  let ended = (): void => {};
  const endedByHost = new Promise<"by the host">((resolve) => {
    ended = () => resolve("by the host");
  });
  await using provider = await startRawProvider((socket) => {
    // Never ends a connection by itself.
    socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    socket.on("end", ended);
  });
  await using host = await startRouter({ idleSocketMs: 200 });
  host.view.add(pluginRecord({ address: provider.address(["h1"]) }));
  using call = startCall(host, "1.1", { path: anyPath, method: "GET" });
  call.request.end();
  expect((await within(patienceMs, "the answer", call.answer())).text).toBe("ok");
  expect(await within(patienceMs, "the end of the idle connection", endedByHost)).toBe("by the host");
});

describe.each(outs)("100-continue towards HTTP/$out", ({ protocols, start }) => {
  async function ask(body: string, answer: (provider: Asked) => void) {
    await using provider = await start(answer);
    await using host = await startRouter();
    host.view.add(pluginRecord({ address: provider.address(protocols) }));
    using call = startCall(host, "1.1", { path: anyPath, headers: { expect: "100-continue" } });
    const request = call.request as http.ClientRequest;
    let continued = 0;
    request.on("continue", () => {
      continued++;
      request.end(body);
    });
    request.flushHeaders();
    const { status, text } = await within(patienceMs, "the answer", call.answer());
    return { status, text, continued, events: [await host.event()] };
  }

  test("a provider that asks for the body gets it, once", async () => {
    expect(await ask("four", ({ go }) => go())).toMatchObject({ status: 200, text: "4", continued: 1 });
  });

  test("a provider that refuses by its head gets no body, and the caller sends none", async () => {
    const seen = await ask("four", ({ refuse }) => refuse());
    expect(seen).toMatchObject({ status: 417, text: "no" });
    expect(seen.events[0]).toMatchObject({
      outcome: "completed",
      requestBytes: out1(protocols) ? 0 : expect.any(Number),
    });
  });

  test("a provider that says nothing gets the body after a while", async () => {
    expect(await ask("four", ({ wait }) => wait())).toMatchObject({ status: 200, text: "4", continued: 1 });
  });
});
