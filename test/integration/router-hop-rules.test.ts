import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { describe, expect, test } from "vitest";
import type { FieldList } from "../../src/http/exchange.js";
import { deferred } from "../../src/internal/deferred.js";
import { connectHttp2, startCall, startServer, within } from "../support/http-server.js";
import {
  pluginCaller,
  pluginRecord,
  type RouterHost,
  startHttp1Provider,
  startHttp2Provider,
  startRawProvider,
  startRouter,
} from "../support/router-host.js";

const path = "/services/logger/any/x";

/** A provider that tells which trailers it got. */
const startTelling = {
  h1: () =>
    startHttp1Provider((request, response) => {
      request.resume().on("end", () => response.end(JSON.stringify(Object.keys(request.trailers))));
    }),
  h2: () =>
    startHttp2Provider((stream) => {
      let names: string[] = [];
      stream.on("trailers", (fields) => {
        names = Object.keys(fields);
      });
      stream.resume().on("end", () => {
        stream.respond({ ":status": 200 });
        stream.end(JSON.stringify(names));
      });
    }),
};

const forged = {
  "x-sum": "1",
  "x-plugin-caller-id": "admin",
  x_plugin_caller_id: "admin",
  "x-plugin-host-secret": "guessed",
  "x-forwarded-for": "1.2.3.4",
  forwarded: "for=1.2.3.4",
  authorization: "Bearer secret",
};

/** Begins a request of each version that has the forged trailers. */
const callers = {
  "1.1": (host: RouterHost) => {
    const trailer = Object.keys(forged).join(", ");
    const request = http.request({ port: host.port, path, method: "POST", headers: { trailer } });
    request.addTrailers(forged);
    return request;
  },
  "2": (host: RouterHost) => {
    const session = connectHttp2(host);
    const stream = session.request({ ":path": path, ":method": "POST" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers(forged));
    return stream.on("close", () => session.close());
  },
};

describe.each(["1.1", "2"] as const)("a caller over HTTP/%s", (version) => {
  test.each(["h1", "h2"] as const)("cannot forge as trailers to %s what it cannot as headers", async (protocol) => {
    await using provider = await startTelling[protocol]();
    await using host = await startRouter();
    host.view.add(pluginRecord({ address: provider.address([protocol]) }));
    const request = callers[version](host);
    request.end("body");
    const [answer] = await within(5_000, "the answer", once(request, "response"));
    const [body] = await within(5_000, "the body", once(version === "1.1" ? answer : request, "data"));
    expect(String(body)).toBe('["x-sum"]');
    request.destroy();
  });
});

/** What a provider is sent by a caller that writes `request`; it answers with 200. */
async function sentBy(request: string): Promise<string> {
  let sent = "";
  await using provider = await startRawProvider((socket) => {
    socket.setEncoding("latin1").on("data", (text) => {
      sent += text;
      if (sent.endsWith("ab") || sent.includes("\r\nx-end: 1\r\n") || sent.includes("expect:")) {
        socket.end("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
      }
    });
  });
  await using host = await startRouter();
  host.view.add(pluginRecord({ address: provider.address(["h1"]) }));
  const socket = net.connect(host.port, "127.0.0.1");
  socket.setEncoding("latin1").write(request);
  const [answer] = await within(5_000, "the answer", once(socket, "data"));
  expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  socket.destroy();
  return sent;
}

test("what Connection names is not passed on as a trailer either", async () => {
  const sent = await sentBy(
    `POST ${path} HTTP/1.1\r\nHost: h\r\nConnection: x-own\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-Own: 1\r\nX-End: 1\r\n\r\n`,
  );
  expect(sent).not.toContain("x-own");
});

test("the expectation of a caller over HTTP/1.0, which knows no 100 Continue, is not passed on", async () => {
  const rest = "Host: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab";
  expect(await sentBy(`POST ${path} HTTP/1.0\r\n${rest}`)).not.toContain("expect");
  expect(await sentBy(`POST ${path} HTTP/1.1\r\n${rest}`)).toContain("expect: 100-continue\r\n");
});

test("every 1xx answer is handed to the caller's side, but for 100 and 101", async () => {
  await using provider = await startHttp2Provider((stream) => {
    for (const status of [100, 102, 103, 104, 199]) stream.additionalHeaders({ ":status": status, "x-n": `${status}` });
    stream.respond({ ":status": 204 }, { endStream: true });
  });
  await using host = await startRouter();
  host.view.add(pluginRecord({ address: provider.address(["h2"]) }));
  const seen: [number, FieldList][] = [];
  await using server = await startServer({
    handler: (exchange) => {
      exchange.informational = (status, fields) => void seen.push([status, fields]);
      host.router.handle(exchange, pluginCaller);
    },
  });
  using call = startCall(server, "1.1", { path, method: "GET" });
  call.request.end();
  await within(5_000, "the answer", call.answer());
  expect(seen).toEqual([102, 103, 104, 199].map((status) => [status, ["x-n", `${status}`]]));
});

test("the bytes of a field go through as they are, also where the head leaves before the body", async () => {
  const body = deferred();
  await using provider = await startRawProvider((socket) => {
    socket.once("data", () => {
      socket.write("HTTP/1.1 200 OK\r\nX-Name: caf\xe9\r\nContent-Length: 4\r\n\r\n", "latin1");
      void body.promise.then(() => socket.write("fine"));
    });
  });
  await using host = await startRouter();
  host.view.add(pluginRecord({ address: provider.address(["h1"]) }));
  const caller = net.connect(host.port, "127.0.0.1").setEncoding("latin1");
  let text = "";
  caller.on("data", (more: string) => {
    text += more;
    if (text.includes("\r\n\r\n")) body.resolve();
    if (text.endsWith("fine")) caller.end();
  });
  caller.write(`GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`);
  await within(2_000, "the answer", once(caller, "close"));
  expect(text).toMatch(/x-name: caf\xe9\r\n/i);
});
