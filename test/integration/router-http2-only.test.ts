import { once } from "node:events";
import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { startCall } from "../support/http-server.js";
import { pluginRecord, startRouter } from "../support/router-host.js";

/** A provider that speaks HTTP/2 and nothing else, and says so nowhere. */
async function startHttp2Only() {
  const server = http2.createServer();
  const seen: string[] = [];
  server.on("sessionError", () => {});
  server.on("stream", (stream, headers) => {
    stream.on("error", () => {});
    let body = "";
    stream.setEncoding("utf8").on("data", (text: string) => {
      body += text;
    });
    stream.on("end", () => {
      seen.push(`${headers[":method"]} ${headers[":path"]} ${body}`);
      stream.respond({ ":status": 200, "content-type": "text/plain" });
      stream.end(`got ${body.length}`);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    seen,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.close();
    },
  };
}

test("a provider that only speaks HTTP/2 is found out by a caller over HTTP/1.1, and gets each call once, body and all", async () => {
  await using provider = await startHttp2Only();
  await using host = await startRouter();
  host.view.add(pluginRecord({ address: { kind: "http", url: provider.url, protocols: undefined } }));
  for (const body of ["first", "second"]) {
    using call = startCall(host, "1.1", { path: "/services/logger/logger-1/x", method: "POST" });
    call.request.write(body.slice(0, 2));
    call.request.end(body.slice(2));
    expect(await call.answer()).toMatchObject({ status: 200, text: `got ${body.length}` });
  }
  expect(provider.seen).toEqual(["POST /x first", "POST /x second"]);
  expect(host.view.failures).toEqual([]);
});
