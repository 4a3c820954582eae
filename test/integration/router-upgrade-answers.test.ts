import { once } from "node:events";
import net from "node:net";
import { describe, expect, test } from "vitest";
import { within } from "../support/http-server.js";
import { pluginRecord, type RouterHost, startRawProvider, startRouter } from "../support/router-host.js";

const wish = (extra = ""): string =>
  `GET /services/logger/any/x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: foo/2\r\n${extra}\r\n`;

/** A provider that says the same to everybody who asks for an upgrade, byte for byte, and may end the connection with it. */
const startSaying = (said: string, then: (socket: net.Socket) => void = () => {}) =>
  startRawProvider((socket) => {
    socket.once("data", () => socket.write(Buffer.from(said, "latin1"), () => then(socket)));
  });

/** All that the caller gets until the host closes the connection, byte for byte, without the date. */
async function answerOf(host: RouterHost, request = wish()): Promise<string> {
  const socket = net.connect(host.port, "127.0.0.1");
  socket.on("error", () => {});
  socket.setEncoding("latin1").write(request);
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk;
  });
  await within(5_000, "the end of the answer", once(socket, "close"));
  return text.replace(/Date: [^\r]*\r\n/, "");
}

async function refusalOf(said: string): Promise<string> {
  await using provider = await startSaying(said, (socket) => socket.end());
  await using host = await startRouter();
  host.view.add(pluginRecord({ address: provider.address() }));
  const answer = await answerOf(host);
  expect(await within(5_000, "the event", host.event())).toMatchObject({ outcome: "completed" });
  expect(host.view.failures).toEqual([]);
  return answer;
}

describe("an answer that refuses an upgrade", () => {
  const via = "via: 1.1 connect-plugin-host\r\n";
  const closed = `${via}Connection: close\r\n`;
  test.each([
    {
      why: "without what only the host may say, or belongs to the provider's connection",
      said: "HTTP/1.1 403 No\r\nX-Plugin-Not-Sent: app-1\r\nX-Plugin-Provider: p\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: x\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-Own: 2\r\nContent-Length: 4\r\n\r\nnope",
      got: `HTTP/1.1 403 Forbidden\r\nx-own: 2\r\ncontent-length: 4\r\n${closed}\r\nnope`,
    },
    {
      why: "with each of its fields, and the bytes of them",
      said: "HTTP/1.1 403 No\r\nX: \xe9\r\nX: b\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n",
      got: `HTTP/1.1 403 Forbidden\r\nx: \xe9\r\nx: b\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: 0\r\n${closed}\r\n`,
    },
    {
      why: "with its trailers, but for those that only the host may say",
      said: "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\nTrailer: x-t\r\n\r\n4\r\nnope\r\n0\r\nX-T: 1\r\nX-Plugin-Not-Sent: app-1\r\n\r\n",
      got: `HTTP/1.1 403 Forbidden\r\ntrailer: x-t\r\n${closed}Transfer-Encoding: chunked\r\n\r\n4\r\nnope\r\n0\r\nx-t: 1\r\n\r\n`,
    },
    {
      why: "in chunks if its end was the end of the connection",
      said: "HTTP/1.1 200 OK\r\n\r\nhello",
      got: `HTTP/1.1 200 OK\r\n${closed}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
    },
    {
      why: "without a body where none can be: 204",
      said: "HTTP/1.1 204 No\r\nX: y\r\n\r\n",
      got: `HTTP/1.1 204 No Content\r\nx: y\r\n${closed}\r\n`,
    },
    {
      why: "without a body where none can be: 304",
      said: "HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n",
      got: `HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n${closed}\r\n`,
    },
    {
      why: "behind the hints that came before it",
      said: "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nX-Plugin-Provider: p\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
      got: expect.stringMatching(
        /^HTTP\/1\.1 103 Early Hints\r\n[Ll]ink: <\/a>; rel=preload\r\n\r\nHTTP\/1\.1 204 No Content\r\n/,
      ),
    },
  ])("goes to the caller $why", async ({ said, got }) => expect(await refusalOf(said)).toEqual(got));

  test("is told with who was asked to a caller that wants to know", async () => {
    await using provider = await startSaying("HTTP/1.1 403 No\r\nX-Plugin-Provider: p\r\nContent-Length: 0\r\n\r\n");
    await using host = await startRouter();
    host.view.add(pluginRecord({ address: provider.address() }));
    const answer = await answerOf(host, wish("X-Plugin-Avoid:\r\n"));
    expect(answer.match(/x-plugin-provider: .*/g)).toEqual(["x-plugin-provider: logger-1"]);
  });

  test("is complete however slowly the caller reads, whatever the caller still sends", async () => {
    const size = 8 * 1024 * 1024;
    await using provider = await startSaying(`HTTP/1.1 403 No\r\nContent-Length: ${size}\r\n\r\n`, (socket) =>
      socket.write(Buffer.alloc(size, 97)),
    );
    await using host = await startRouter();
    const { inFlight } = host.view.add(pluginRecord({ address: provider.address() }));
    const socket = net.connect(host.port, "127.0.0.1");
    socket.write(`${wish()}early bytes`);
    await within(5_000, "the beginning", once(socket, "readable"));
    let bytes = 0;
    socket.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    await within(5_000, "the end", once(socket, "close"));
    expect(bytes).toBeGreaterThan(size);
    await within(5_000, "the provider's end", inFlight.whenIdle());
    expect(host.events[0]).toMatchObject({ status: 403, outcome: "completed", responseBytes: size });
  });

  test("is cut off where its provider broke it off, which counts as the provider's failure", async () => {
    await using provider = await startSaying(
      "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nnope\r\n",
      (socket) => socket.destroy(),
    );
    await using host = await startRouter();
    host.view.add(pluginRecord({ address: provider.address() }));
    expect(await answerOf(host)).not.toContain("\r\n0\r\n");
    const event = await within(5_000, "the event", host.event());
    expect(event).toMatchObject({ status: 403, outcome: "provider-failed" });
    expect(host.view.failures).toEqual([expect.stringMatching(/^logger-1: logger-1 broke off its answer: /)]);
  });

  test("whose caller goes away before its end is the caller's doing, not the provider's", async () => {
    await using provider = await startSaying("HTTP/1.1 403 No\r\nContent-Length: 8\r\n\r\nnope");
    await using host = await startRouter();
    const { inFlight } = host.view.add(pluginRecord({ address: provider.address() }));
    const socket = net.connect(host.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(wish());
    await within(5_000, "the beginning", once(socket, "data"));
    socket.resetAndDestroy();
    await within(5_000, "the provider's end", inFlight.whenIdle());
    expect(await within(5_000, "the event", host.event())).toMatchObject({ outcome: "caller-gone", code: "canceled" });
    expect(host.view.failures).toEqual([]);
  });

  test("is the host's own if its provider's cannot be passed on", async () => {
    await using provider = await startSaying("HTTP/1.1 042 Odd\r\nContent-Length: 0\r\n\r\n");
    await using host = await startRouter();
    host.view.add(pluginRecord({ address: provider.address() }));
    expect(await answerOf(host)).toMatch(/^HTTP\/1\.1 502 /);
    expect(host.view.failures).toHaveLength(1);
  });
});

test("a provider that switches says nothing that only the host may say, and names nothing of its own connection", async () => {
  const said =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade, x-hop\r\nUpgrade: foo/2\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-Plugin-Provider: p\r\nX-Plugin-Not-Sent: app-1\r\nContent-Length: 9\r\nX: \xe9\r\nX: b\r\nVia: 1.1 p\r\n\r\n";
  await using provider = await startSaying(
    `HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n${said}`,
    (socket) => socket.end("data"),
  );
  await using host = await startRouter();
  host.view.add(pluginRecord({ address: provider.address() }));
  const answer = await answerOf(host);
  expect(answer).toMatch(/^HTTP\/1\.1 103 Early Hints\r\n/);
  expect(answer.slice(answer.indexOf("HTTP/1.1 101"))).toBe(
    "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: foo/2\r\nx: \xe9\r\nx: b\r\nvia: 1.1 p, 1.1 connect-plugin-host\r\n\r\ndata",
  );
});

test("a provider that answers no request to upgrade in time is 504, as for any call", async () => {
  await using provider = await startRawProvider((socket) => socket.resume());
  await using host = await startRouter({ headersTimeoutMs: 100 });
  host.view.add(pluginRecord({ address: provider.address() }));
  const answer = await answerOf(host);
  expect(answer).toMatch(/^HTTP\/1\.1 504 /);
  expect(answer).toContain('{"code":"unavailable","message":"logger-1 did not answer within 100 ms"}');
  expect(host.view.failures).toEqual(["logger-1: logger-1 did not answer within 100 ms"]);
  expect(await within(5_000, "the event", host.event())).toMatchObject({ status: 504, outcome: "provider-failed" });
});

test("a plugin whose upgrade the host refuses is told that nobody has seen it", async () => {
  await using host = await startRouter();
  expect(await answerOf(host)).toMatch(/^HTTP\/1\.1 404 [\s\S]*\r\nx-plugin-not-sent: app-1\r\n/i);
});
