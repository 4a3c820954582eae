import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import net, { type AddressInfo, type Server } from "node:net";
import { expect, test } from "vitest";
import { Platform } from "../../src/index.js";
import { callOn, exchangeBytes, within } from "../support/http-server.js";

/** A platform in a server of somebody else, over which requests and upgrades reach it. */
async function mount(create: (platform: Platform) => Server) {
  const platform = new Platform({ server: { maxHeaderCount: 20 } });
  const server = create(platform);
  const sockets = new Set<net.Socket>();
  server.on("connection", (socket: net.Socket) => sockets.add(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await platform.stop();
    },
  };
}

const upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\n";

test.each([
  { why: "two Hosts", request: "GET /x HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", status: 400 },
  { why: "a list of Hosts", request: "GET /x HTTP/1.1\r\nHost: h, i\r\n\r\n", status: 400 },
  { why: "a fragment", request: "GET /x#y HTTP/1.1\r\nHost: h\r\n\r\n", status: 400 },
  { why: "absolute form", request: "GET http://h/x HTTP/1.1\r\nHost: h\r\n\r\n", status: 400 },
  { why: "HTTP/2.0", request: "GET /x HTTP/2.0\r\nHost: h\r\n\r\n", status: 505 },
  {
    why: "another coding",
    request: "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    status: 400,
  },
  { why: "TRACE", request: "TRACE /x HTTP/1.1\r\nHost: h\r\n\r\n", status: 501 },
  { why: "too many fields", request: `GET /x HTTP/1.1\r\nHost: h\r\n${"X: y\r\n".repeat(20)}\r\n`, status: 431 },
  { why: "a URL that is too long", request: `GET /${"x".repeat(16_400)} HTTP/1.1\r\nHost: h\r\n\r\n`, status: 414 },
  { why: "an upgrade with two Hosts", request: `GET /x HTTP/1.1\r\nHost: h\r\nHost: i\r\n${upgrade}\r\n`, status: 400 },
  { why: "an upgrade with a fragment", request: `GET /x#y HTTP/1.1\r\nHost: h\r\n${upgrade}\r\n`, status: 400 },
  { why: "an upgrade with another method", request: `POST /x HTTP/1.1\r\nHost: h\r\n${upgrade}\r\n`, status: 400 },
])("a mounted platform answers $why with $status, and nothing behind it", async ({ request, status }) => {
  await using mounted = await mount((platform) => {
    return http.createServer({ maxHeaderSize: 65_536 }, platform.handler).on("upgrade", platform.upgradeHandler);
  });
  const behind = "GET /behind HTTP/1.1\r\nHost: h\r\n\r\n";
  const socket = net.connect(mounted.port, "127.0.0.1");
  const answer = await within(5_000, "closing", exchangeBytes(socket, request + behind));
  expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(answer.toLowerCase()).toContain("connection: close\r\n");
  expect(answer.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
});

test.each([
  { headers: { ":path": "/x#y" }, status: 400 },
  { headers: { ":path": "/x", ":authority": "a", host: "b" }, status: 400 },
  { headers: { ":path": "/x", ":scheme": "file" }, status: 400 },
])("a mounted platform answers $headers over HTTP/2 with $status", async ({ headers, status }) => {
  await using mounted = await mount((platform) => http2.createServer(platform.handler));
  const session = http2.connect(`http://127.0.0.1:${mounted.port}`);
  session.on("error", () => {});
  const call = callOn(session, { ":method": "GET", ...headers });
  expect((await within(5_000, "the call", call.answer())).status).toBe(status);
  session.destroy();
});
