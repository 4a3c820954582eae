import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { expect, test } from "vitest";
import WebSocket, { WebSocketServer } from "ws";
import { within } from "../support/http-server.js";
import {
  pluginRecord,
  registrationRecord,
  startHttp1Provider,
  startRawProvider,
  startRouter,
} from "../support/router-host.js";

async function startEchoSockets() {
  const server = http.createServer();
  const requests: http.IncomingMessage[] = [];
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket, request) => {
    requests.push(request);
    socket.on("error", () => {});
    socket.on("message", (data) => socket.send(`echo ${data}`));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  return {
    requests,
    sockets,
    address: { kind: "http", url: `http://127.0.0.1:${port}/base`, protocols: undefined } as const,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets.clients) socket.terminate();
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

test("a WebSocket goes through with the caller's identity, its path byte for byte, and is one call", async () => {
  await using echo = await startEchoSockets();
  await using host = await startRouter();
  const { inFlight } = host.view.add(pluginRecord({ address: echo.address }), registrationRecord({ path: "/ws/" }));
  const socket = new WebSocket(`${host.url}/services/logger/any/a%2Db?q=%20`, {
    headers: { authorization: "Bearer secret", "x-plugin-caller-id": "forged" },
  });
  await within(2_000, "the opening", once(socket, "open"));
  expect(inFlight.count).toBe(1);
  socket.send("hi");
  const [data] = await within(1_000, "the echo", once(socket, "message"));
  expect(String(data)).toBe("echo hi");
  const [request] = echo.requests;
  expect(request?.url).toBe("/base/ws/a%2Db?q=%20");
  expect(request?.headers["x-plugin-caller-id"]).toBe("app-1");
  expect(request?.headers.authorization).toBeUndefined();
  socket.close();
  await within(1_000, "the provider's end", inFlight.whenIdle());
  expect(await host.event()).toMatchObject({ status: 101, outcome: "completed", method: "/base/ws/a%2Db" });
});

test("a WebSocket ends at both sides when its caller, its provider or the host ends it", async () => {
  await using echo = await startEchoSockets();
  await using host = await startRouter();
  const { inFlight } = host.view.add(pluginRecord({ address: echo.address }));
  const open = async (): Promise<WebSocket> => {
    const socket = new WebSocket(`${host.url}/services/logger/any/x`);
    socket.on("error", () => {});
    await within(2_000, "the opening", once(socket, "open"));
    return socket;
  };
  const first = await open();
  first.terminate();
  await within(1_000, "the provider's end", inFlight.whenIdle());
  const second = await open();
  for (const client of echo.sockets.clients) client.terminate();
  await within(1_000, "the caller's end", once(second, "close"));
  const third = await open();
  inFlight.abortAll(new Error("drained"));
  await within(1_000, "the caller's end", once(third, "close"));
  expect(await within(1_000, "the event", host.event(3))).toMatchObject({ outcome: "aborted", reason: "drained" });
});

async function refusedBy(host: { url: string }, path: string): Promise<number | undefined> {
  const socket = new WebSocket(`${host.url}${path}`);
  socket.on("error", () => {});
  const [, response] = await within(2_000, "the refusal", once(socket, "unexpected-response"));
  socket.terminate();
  return (response as http.IncomingMessage).statusCode;
}

test("an upgrade is refused by the same rules, with 502 if nobody listens, and with the provider's own answer", async () => {
  await using plain = await startHttp1Provider(
    (_request, response) => void response.writeHead(426).end("no sockets here"),
  );
  await using host = await startRouter();
  host.view.add(
    pluginRecord({ runtimeId: "dead", address: { kind: "http", url: "http://127.0.0.1:1", protocols: undefined } }),
  );
  host.view.add(pluginRecord({ runtimeId: "plain", address: plain.address() }));
  expect(await refusedBy(host, "/services/logger/nobody/x")).toBe(404);
  expect(await refusedBy(host, "/services/logger/dead/x")).toBe(502);
  expect(await refusedBy(host, "/services/logger/plain/x")).toBe(426);
  host.caller = { kind: "anonymous" };
  expect(await refusedBy(host, "/services/logger/plain/x")).toBe(401);
  await within(1_000, "the events", host.event(4));
  expect(host.events.map(({ outcome }) => outcome).sort()).toEqual([
    "completed",
    "provider-failed",
    "refused",
    "refused",
  ]);
});

test("other protocols can be upgraded to, too", async () => {
  await using provider = await startRawProvider((socket) => {
    socket.once("data", (head) => {
      expect(String(head)).toMatch(/upgrade: foo\/2/i);
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo/2\r\n\r\nwelcome;");
      socket.on("data", (chunk) => socket.write(`got ${chunk};`));
    });
  });
  await using host = await startRouter();
  host.view.add(pluginRecord({ address: provider.address() }));
  const socket = net.connect(host.port, "127.0.0.1");
  socket.write("GET /services/logger/any/x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: foo/2\r\n\r\n");
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk;
  });
  const saw = async (wanted: string): Promise<void> => {
    while (!text.includes(wanted)) await once(socket, "data");
  };
  await within(2_000, "the welcome", saw("welcome;"));
  socket.write("x");
  await within(1_000, "the answer", saw("got x;"));
  socket.destroy();
  expect(await within(1_000, "the event", host.event())).toMatchObject({ status: 101 });
});
