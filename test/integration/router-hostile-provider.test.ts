import type { Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { exchangeBytes, startCall, type Version, within } from "../support/http-server.js";
import { pluginRecord, startRawProvider, startRouter, type TestProvider } from "../support/router-host.js";

/** What a provider may answer to get a fault into somebody else's call, or the host into trouble. */
interface HostileAnswer {
  readonly why: string;
  readonly answer: string;
  /** Whether the provider closes the connection behind it. */
  readonly closes?: boolean;
}

const ok = "HTTP/1.1 200 OK\r\n";
const stolen = `${ok}Content-Length: 6\r\n\r\nstolen`;

/** Never an answer: the caller gets 502. */
const faults: readonly HostileAnswer[] = [
  { why: "HTTP/0.9", answer: "<html>hello</html>", closes: true },
  { why: "another protocol", answer: "ICY 200 OK\r\nContent-Length: 1\r\n\r\nx" },
  { why: "a status line without a status", answer: "HTTP/1.1 OK\r\nContent-Length: 1\r\n\r\nx" },
  { why: "a status of two digits", answer: "HTTP/1.1 99 OK\r\nContent-Length: 1\r\n\r\nx" },
  { why: "a status of four digits", answer: "HTTP/1.1 2000 OK\r\nContent-Length: 1\r\n\r\nx" },
  { why: "a negative status", answer: "HTTP/1.1 -200 OK\r\nContent-Length: 1\r\n\r\nx" },
  { why: "HTTP/2.0 in the status line", answer: "HTTP/2.0 200 OK\r\nContent-Length: 1\r\n\r\nx" },
  { why: "two lengths", answer: `${ok}Content-Length: 1\r\nContent-Length: 80\r\n\r\nx` },
  { why: "a length that is none", answer: `${ok}Content-Length: 1x\r\n\r\nx` },
  { why: "a negative length", answer: `${ok}Content-Length: -1\r\n\r\nx` },
  { why: "a length with a plus", answer: `${ok}Content-Length: +1\r\n\r\nx` },
  { why: "a length in hexadecimal", answer: `${ok}Content-Length: 0x1\r\n\r\nx` },
  { why: "a length beyond 64 bits", answer: `${ok}Content-Length: 18446744073709551617\r\n\r\nx` },
  { why: "length and chunked", answer: `${ok}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n` },
  { why: "a space before the colon", answer: `${ok}Content-Length : 1\r\n\r\nx` },
  { why: "NUL in a value", answer: `${ok}X-A: b\0c\r\nContent-Length: 1\r\n\r\nx` },
  { why: "a bare CR in a value", answer: `${ok}X-A: b\rSet-Cookie: c\r\nContent-Length: 1\r\n\r\nx` },
  { why: "a line without a colon", answer: `${ok}X-A\r\nContent-Length: 1\r\n\r\nx` },
  { why: "a field without a name", answer: `${ok}: a\r\nContent-Length: 1\r\n\r\nx` },
  { why: "a name with a space", answer: `${ok}X A: b\r\nContent-Length: 1\r\n\r\nx` },
  { why: "a head that is too large", answer: `${ok}X-A: ${"y".repeat(70_000)}\r\n\r\n` },
  { why: "a head that never ends", answer: `${ok}${"X-A: b\r\n".repeat(9_000)}` },
  { why: "a flood of 103", answer: "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(5_000) },
  { why: "a flood of 100", answer: "HTTP/1.1 100 Continue\r\n\r\n".repeat(5_000) },
  {
    why: "a 101 that nobody asked for",
    answer: "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nraw",
  },
  { why: "half a head", answer: `${ok}X-A: b`, closes: true },
  { why: "nothing", answer: "", closes: true },
];

/** The head may pass, but what follows must end as an error. */
const brokenBodies: readonly HostileAnswer[] = [
  { why: "a body shorter than its length", answer: `${ok}Content-Length: 9\r\n\r\nshort`, closes: true },
  { why: "a chunk size that is none", answer: `${ok}Transfer-Encoding: chunked\r\n\r\nzz\r\n` },
  { why: "a negative chunk size", answer: `${ok}Transfer-Encoding: chunked\r\n\r\n-1\r\n` },
  {
    why: "a chunk size beyond 64 bits",
    answer: `${ok}Transfer-Encoding: chunked\r\n\r\n10000000000000001\r\nx\r\n0\r\n\r\n`,
  },
  { why: "a chunk longer than its size", answer: `${ok}Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n` },
  { why: "chunks without an end", answer: `${ok}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n`, closes: true },
];

/** Whole answers, with bytes behind them that nobody asked for. */
const surplus: readonly HostileAnswer[] = [
  { why: "an answer behind its answer", answer: `${ok}Content-Length: 4\r\n\r\nmine${stolen}` },
  { why: "an answer behind chunks", answer: `${ok}Transfer-Encoding: chunked\r\n\r\n4\r\nmine\r\n0\r\n\r\n${stolen}` },
  { why: "an answer behind 204", answer: `HTTP/1.1 204 No Content\r\n\r\n${stolen}` },
  { why: "an answer behind 304", answer: `HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\n${stolen}` },
  { why: "a body behind an empty answer", answer: `${ok}Content-Length: 0\r\n\r\n${stolen}` },
  { why: "half a status line behind its answer", answer: `${ok}Content-Length: 4\r\n\r\nmineHTTP/1.1 2` },
];

/** Answers `/first` with `hostile`, however often it is asked, and all others with their path. */
const startHostile = ({ answer, closes }: HostileAnswer): Promise<TestProvider> => {
  return startRawProvider((socket: Socket) => {
    let kept = "";
    socket.on("data", (chunk: Buffer) => {
      kept += chunk.toString("latin1");
      for (let end = kept.indexOf("\r\n\r\n"); end !== -1; end = kept.indexOf("\r\n\r\n")) {
        const path = kept.split(" ")[1] as string;
        kept = kept.slice(end + 4);
        if (path !== "/first") socket.write(`${ok}Content-Length: ${path.length}\r\n\r\n${path}`);
        else if (closes === true) socket.end(answer, "latin1");
        else socket.write(answer, "latin1");
      }
    });
  });
};

const versions: Version[] = ["1.1", "2"];

describe.each(versions)("a caller over HTTP/%s", (version) => {
  const start = async (hostile: HostileAnswer, options = {}) => {
    const provider = await startHostile(hostile);
    const host = await startRouter(options);
    host.view.add(pluginRecord({ address: provider.address(["h1"]) }));
    const get = async (path: string) => {
      using call = startCall(host, version, { method: "GET", path: `/services/logger/any${path}` });
      call.request.end();
      return await within(5_000, path, call.answer());
    };
    return {
      host,
      get,
      async [Symbol.asyncDispose]() {
        await host[Symbol.asyncDispose]();
        await provider[Symbol.asyncDispose]();
      },
    };
  };

  test.each(faults)("gets 502 where its provider answers with $why, and the next call is served", async (hostile) => {
    await using both = await start(hostile);
    const answer = await both.get("/first");
    expect(answer.status).toBe(502);
    expect(answer.headers["set-cookie"]).toBeUndefined();
    expect((await both.get("/second")).text).toBe("/second");
    expect(both.host.events.map(({ outcome }) => outcome)).toEqual(["provider-failed", "completed"]);
    expect(both.host.errors).toEqual([]);
  });

  test.each(brokenBodies)("never sees a clean end of $why, and the next call is served", async (hostile) => {
    await using both = await start(hostile);
    await expect(both.get("/first")).rejects.toThrow();
    expect((await both.get("/second")).text).toBe("/second");
    expect((await both.host.event(1)).outcome).toBe("provider-failed");
    expect(both.host.errors).toEqual([]);
  });

  test.each(surplus)("never gets $why", async (hostile) => {
    await using both = await start(hostile);
    expect(["mine", ""]).toContain((await both.get("/first")).text);
    for (const path of ["/second", "/third"]) expect((await both.get(path)).text).toBe(path);
    expect(both.host.errors).toEqual([]);
  });

  test("never gets an answer that its provider sent while nobody asked", async () => {
    const sockets: Socket[] = [];
    await using provider = await startRawProvider((socket) => {
      sockets.push(socket);
      socket.on("data", (chunk: Buffer) => {
        const path = chunk.toString("latin1").split(" ")[1] as string;
        socket.write(`${ok}Content-Length: ${path.length}\r\n\r\n${path}`);
      });
    });
    await using host = await startRouter();
    host.view.add(pluginRecord({ address: provider.address(["h1"]) }));
    for (const path of ["/first", "/second"]) {
      using call = startCall(host, version, { method: "GET", path: `/services/logger/any${path}` });
      call.request.end();
      expect((await within(5_000, path, call.answer())).text).toBe(path);
      const socket = sockets.at(-1) as Socket;
      // The bytes must be with the host before the next call, which the end of the connection shows.
      const closed = new Promise((resolve) => socket.once("close", resolve));
      socket.write(stolen);
      await within(5_000, "the connection's end", closed);
    }
    expect(host.errors).toEqual([]);
  });

  test("gets the bytes of field values as its provider sent them", async () => {
    await using both = await start({ why: "", answer: `${ok}X-A: caf\xe9 \xff\r\nContent-Length: 1\r\n\r\nx` });
    expect((await both.get("/first")).headers["x-a"]).toBe("caf\xe9 \xff");
  });
});

test("what a caller over HTTP/1.1 reads ends with its own answer", async () => {
  for (const hostile of surplus) {
    await using provider = await startHostile(hostile);
    await using host = await startRouter();
    host.view.add(pluginRecord({ address: provider.address(["h1"]) }));
    const request = "GET /services/logger/any/first HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    const answer = await within(5_000, hostile.why, exchangeBytes(host.connect("tcp"), request));
    expect(answer, hostile.why).not.toContain("stolen");
  }
});
