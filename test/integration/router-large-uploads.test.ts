import { createHash, randomBytes } from "node:crypto";
import http from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { connectInMemory } from "../../src/http/memory-connection.js";
import { createOnePortServer } from "../../src/http/one-port-server.js";
import { Platform } from "../../src/index.js";
import type { PluginAddress } from "../../src/model/address.js";
import { createAuthority } from "../support/certificates.js";
import { startCall, within } from "../support/http-server.js";
import { pluginRecord, startHttp1Provider, startRouter } from "../support/router-host.js";

// The memory of large pieces is given back as soon as they have left. Whoever else still looks at them must not notice.

const patienceMs = 10_000;
const path = "/services/logger/any/x";
const body = randomBytes(6 * 1024 * 1024 + 77);
const hashOf = (pieces: Iterable<Uint8Array>): string => {
  const hash = createHash("sha256");
  for (const piece of pieces) hash.update(piece);
  return hash.digest("hex");
};
const expected = hashOf([body]);

/** Reads in fits, so that pieces wait on the way, and looks at them at the very end. */
const readInFits: http.RequestListener = (request, response) => {
  const pieces: Buffer[] = [];
  request.on("data", (piece: Buffer) => {
    pieces.push(piece);
    request.pause();
    setImmediate(() => request.resume());
  });
  request.on("end", () => response.end(hashOf(pieces)));
};

const authority = createAuthority();

async function listening(server: http.Server | https.Server, at: number | string): Promise<void> {
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise<void>((resolve) =>
    typeof at === "string" ? server.listen(at, resolve) : server.listen(at, "127.0.0.1", resolve),
  );
}

const providers: Record<string, () => Promise<PluginAddress>> = {
  async "a provider over TCP"() {
    const server = http.createServer(readInFits);
    await listening(server, 0);
    return { kind: "http", url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, protocols: ["h1"] };
  },
  async "a provider on a Unix socket"() {
    const socket = join(tmpdir(), `uploads-${process.pid}-${randomBytes(4).toString("hex")}.sock`);
    await listening(http.createServer(readInFits), socket);
    return { kind: "unix", path: socket, protocols: ["h1"] };
  },
  async "a provider over TLS"() {
    const server = https.createServer(authority.issue({ names: ["localhost"] }), readInFits);
    await listening(server, 0);
    const url = `https://localhost:${(server.address() as AddressInfo).port}`;
    return { kind: "http", url, protocols: ["h1"], tls: { connection: { ca: authority.ca } } } as PluginAddress;
  },
  async "a module in the host's process"() {
    const server = createOnePortServer({
      handler(exchange) {
        const pieces: Buffer[] = [];
        exchange.body.on("data", (piece: Buffer) => pieces.push(piece));
        exchange.body.on("end", () => exchange.reply(200, [], hashOf(pieces)));
      },
    });
    onTestFinished(() => server.close({ graceMs: 0 }));
    const connect = () => {
      const [near, far] = connectInMemory();
      server.accept(far, { transport: "memory" });
      return near;
    };
    return { kind: "module", connect } as PluginAddress;
  },
};

const cases = Object.keys(providers).flatMap((provider) =>
  (["a length", "chunks"] as const).flatMap((framing) =>
    (["1.1", "2"] as const).map((version) => ({ provider, framing, version })),
  ),
);

test.each(cases)("$provider gets every byte of an upload with $framing (HTTP/$version)", async (given) => {
  const address = await (providers[given.provider] as () => Promise<PluginAddress>)();
  await using host = await startRouter();
  host.view.add(pluginRecord({ address }));
  const headers = given.framing === "a length" ? { "content-length": String(body.length) } : {};
  using call = startCall(host, given.version, { path, headers });
  for (let at = 0; at < body.length; at += 1_000_000) call.request.write(body.subarray(at, at + 1_000_000));
  call.request.end();
  const answer = await within(patienceMs, "the answer", call.answer());
  expect(answer).toMatchObject({ status: 200, text: expected });
  // The caller's own bytes are the caller's.
  expect(hashOf([body])).toBe(expected);
});

test("a caller in memory keeps the pieces that it has sent", async () => {
  await using provider = await startHttp1Provider(readInFits);
  await using host = await startRouter();
  host.view.add(pluginRecord({ address: provider.address(["h1"]) }));
  const pieces = Array.from({ length: 64 }, () => randomBytes(65_536));
  const sent = hashOf(pieces);
  using call = startCall(host, "1.1", { way: "memory", path, headers: { "content-length": String(64 * 65_536) } });
  for (const piece of pieces) call.request.write(piece);
  call.request.end();
  expect((await within(patienceMs, "the answer", call.answer())).text).toBe(sent);
  expect(hashOf(pieces)).toBe(sent);
});

test("whoever mounts the host may look at the request's pieces as well, and keep them", async () => {
  await using provider = await startHttp1Provider(readInFits);
  const platform = new Platform({ ingress: [{ prefix: "/in", type: "uploads", access: "open" }] });
  onTestFinished(() => platform.stop());
  await platform.addPlugin({
    endpoint: `http://127.0.0.1:${provider.port}`,
    declares: { selfId: "uploads", provides: [{ type: "uploads", version: "1.0.0" }], metadata: { protocols: "h1" } },
  });
  const seen: Buffer[] = [];
  const server = http.createServer((req, res) => {
    const { push } = req;
    req.push = (piece, encoding) => {
      if (piece !== null) seen.push(piece);
      return push.call(req, piece, encoding);
    };
    platform.handler(req, res);
  });
  await listening(server, 0);
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/in/x`;
  const answer = await within(patienceMs, "the answer", fetch(url, { method: "POST", body }));
  expect(await answer.text()).toBe(expected);
  expect(hashOf(seen)).toBe(expected);
});
