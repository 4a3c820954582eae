import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
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

test("a WebSocket for any provider goes to one that can take it, not to one that is reached over a link alone", async () => {
  await using echo = await startEchoSockets();
  await using host = await startRouter();
  const linked = { runtimeId: "linked-1", address: { kind: "link", isOpen: true } } as const;
  host.view.add(pluginRecord(linked));
  const refusal = async (id: string) => {
    const socket = new WebSocket(`${host.url}/services/logger/${id}/x`);
    socket.on("error", () => {});
    const [, answer] = await within(2_000, "the refusal", once(socket, "unexpected-response"));
    return (answer as http.IncomingMessage).statusCode;
  };
  expect([await refusal("any"), await refusal("linked-1")]).toEqual([501, 501]);
  host.view.add(pluginRecord({ runtimeId: "other-1", address: echo.address }));
  for (let i = 0; i < 3; i++) {
    const socket = new WebSocket(`${host.url}/services/logger/any/x`);
    await within(2_000, "the opening", once(socket, "open"));
    socket.terminate();
  }
  expect(await refusal("linked-1")).toBe(501);
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

/** Opens an upgrade on a bare socket; `saw` resolves when a text has come. */
function openRaw(port: number, path = "/services/logger/any/x") {
  const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => {});
  socket.write(`GET ${path} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: foo/2\r\n\r\n`);
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk;
  });
  const saw = async (wanted: string): Promise<void> => {
    while (!text.includes(wanted)) await once(socket, "data");
  };
  return { socket, saw };
}

/** Takes every upgrade and hands over the connection; `rest` comes in the same packet as the answer. */
const startUpgrades = (joined: (socket: net.Socket) => void, rest = "") =>
  startRawProvider((socket) => {
    socket.once("data", () => {
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo/2\r\n\r\n${rest}`);
      joined(socket);
    });
  });

test("the account of an upgrade has the bytes of both directions", async () => {
  await using provider = await startUpgrades((socket) => socket.on("data", () => socket.write("-12345")), "hello");
  await using host = await startRouter();
  host.view.add(pluginRecord({ address: provider.address() }));
  const { socket, saw } = openRaw(host.port);
  await within(5_000, "the first bytes", saw("hello"));
  socket.write("abc");
  await within(5_000, "the answer", saw("-12345"));
  socket.destroy();
  const event = await within(5_000, "the event", host.event());
  expect(event).toMatchObject({ status: 101, outcome: "completed", requestBytes: 3, responseBytes: 11 });
});

test("an upgrade for any provider moves on from one that cannot be reached, and a provider that starts is dialled again", async () => {
  await using provider = await startUpgrades((socket) => socket.write("here"));
  await using host = await startRouter();
  const nowhere = { kind: "http", url: "http://127.0.0.1:1", protocols: undefined } as const;
  const dead = host.view.add(pluginRecord({ runtimeId: "dead", address: nowhere }));
  const alive = host.view.add(pluginRecord({ runtimeId: "alive", address: provider.address() }));
  const { socket, saw } = openRaw(host.port);
  await within(5_000, "the other provider", saw("here"));
  expect(host.view.failures).toEqual([expect.stringMatching(/^dead: .*ECONNREFUSED/)]);
  expect([dead.inFlight.count, alive.inFlight.count]).toEqual([0, 1]);
  socket.destroy();
  await within(5_000, "the end", alive.inFlight.whenIdle());

  // Nobody listens there yet: the provider does while the host dials.
  const folder = mkdtempSync(join(tmpdir(), "upgrade-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "late.sock");
  const late = net.createServer((peer) => {
    peer.on("error", () => {});
    peer.once("data", () =>
      peer.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo/2\r\n\r\nlate"),
    );
  });
  const address = { kind: "unix", path, protocols: undefined } as const;
  const starting = host.view.add(pluginRecord({ runtimeId: "starting", address, startedAt: Date.now() }));
  const second = openRaw(host.port, "/services/logger/starting/x");
  while (starting.inFlight.count === 0) await new Promise((resolve) => setImmediate(resolve));
  late.listen(path);
  await within(5_000, "the provider that started late", second.saw("late"));
  second.socket.destroy();
  await within(5_000, "the end", starting.inFlight.whenIdle());
  late.close();
});

test("what a caller still sends after its provider has ended is cut off when nothing moves any more", async () => {
  await using provider = await startUpgrades((socket) => socket.end("bye"));
  await using host = await startRouter({ headersTimeoutMs: 300 });
  const { inFlight } = host.view.add(pluginRecord({ address: provider.address() }));
  const { socket, saw } = openRaw(host.port);
  await within(5_000, "the end", saw("bye"));
  await within(5_000, "the cut", inFlight.whenIdle());
  socket.destroy();
});

test("an upgraded connection in which no byte moves is cut off if the host is told so", async () => {
  await using provider = await startUpgrades((socket) => socket.on("data", (chunk) => socket.write(chunk)), "hello");
  await using host = await startRouter({ idleStreamMs: 300 });
  const { inFlight } = host.view.add(pluginRecord({ address: provider.address() }));
  const { socket, saw } = openRaw(host.port);
  await within(5_000, "the first bytes", saw("hello"));
  const closed = once(socket, "close");
  await within(5_000, "the cut", inFlight.whenIdle());
  socket.end();
  await within(5_000, "the caller's end", closed);
  expect(host.events[0]).toMatchObject({ outcome: "aborted", reason: "no byte moved for 300 ms" });
});
