import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import net, { type AddressInfo } from "node:net";
import tls from "node:tls";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { expect, onTestFinished, test } from "vitest";
import type { RequestHead } from "../../src/http/exchange.js";
import { type ListenOptions, Platform, type PlatformOptions } from "../../src/index.js";
import { createAuthority } from "../support/certificates.js";
import { Echo } from "../support/gen/echo/v1/echo_pb.js";
import { exchangeBytes, within } from "../support/http-server.js";
import { manualClock } from "../support/manual-clock.js";
import { startEndpoint } from "../support/plugins.js";

const authority = createAuthority();
const certificate = authority.issue();
const { ca } = authority;

type Tls = NonNullable<ListenOptions["tls"]>;

async function startTls(given: Partial<Tls> = {}, options: PlatformOptions = {}) {
  const platform = new Platform(options);
  onTestFinished(() => platform.stop());
  const warnings: string[] = [];
  platform.on("warning", ({ message }) => warnings.push(message));
  await platform.listen({ port: 0, tls: { cert: certificate.cert, key: certificate.key, ...given } });
  const url = platform.url as string;
  return { platform, url, port: Number(new URL(url).port), warnings };
}

/** A handshake, and what the other side showed. */
async function handshake(port: number, options: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> {
  const socket = tls.connect({ port, host: "127.0.0.1", ca, ...options });
  onTestFinished(() => void socket.destroy());
  await once(socket, "secureConnect");
  return socket;
}

async function get(url: string, path: string, options: https.RequestOptions = {}) {
  const request = https.get(`${url}${path}`, { ca, agent: false, ...options });
  const [answer] = (await once(request, "response")) as [http.IncomingMessage];
  let text = "";
  for await (const chunk of answer.setEncoding("utf8")) text += chunk;
  return { status: answer.statusCode, text, version: answer.httpVersion };
}

test("one port speaks HTTP/1.1 and HTTP/2 over TLS, and calls itself https", async () => {
  const { url, port, warnings } = await startTls();
  expect(url).toBe(`https://127.0.0.1:${port}`);
  expect(await get(url, "/readyz")).toEqual({ status: 200, text: "ok\n", version: "1.1" });
  const session = http2.connect(url, { ca });
  onTestFinished(() => session.destroy());
  const stream = session.request({ ":path": "/readyz" });
  const [head] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
  expect(head[":status"]).toBe(200);
  stream.resume();
  expect(warnings).toEqual([]);
});

test.each([
  { offer: ["h2", "http/1.1"], agreed: "h2" },
  { offer: ["http/1.1"], agreed: "http/1.1" },
  { offer: undefined, agreed: false },
])("a caller that offers $offer gets $agreed", async ({ offer, agreed }) => {
  const { port } = await startTls();
  const socket = await handshake(port, offer === undefined ? {} : { ALPNProtocols: offer });
  expect(socket.alpnProtocol).toBe(agreed);
});

test("plugins are called through the port, in every protocol, and told that the caller came over https", async () => {
  const { platform, url } = await startTls({}, { ingress: [{ prefix: "/", type: "echo", access: "open" }] });
  await platform.addPlugin(await echoEndpoint());
  const transports = [
    createConnectTransport({ httpVersion: "1.1", baseUrl: url, nodeOptions: { ca } }),
    createConnectTransport({ httpVersion: "2", baseUrl: url, nodeOptions: { ca } }),
    createGrpcTransport({ baseUrl: url, nodeOptions: { ca } }),
  ];
  for (const transport of transports) {
    expect((await createClient(Echo, transport).say({ text: "hi" })).text).toBe("hi");
  }
});

test("providers and the front are told that the connection is encrypted", async () => {
  const seen: unknown[] = [];
  const provider = http.createServer((req, res) => {
    seen.push(req.headers["x-forwarded-proto"]);
    res.end();
  });
  onTestFinished(() => void provider.close());
  await new Promise<void>((resolve) => provider.listen(0, "127.0.0.1", resolve));
  const check = (head: RequestHead): string => {
    seen.push(head.connection.encrypted);
    return "somebody";
  };
  const { platform, url } = await startTls({}, { ingress: [{ prefix: "/", type: "plain", access: check }] });
  await platform.addPlugin({
    endpoint: `http://127.0.0.1:${(provider.address() as AddressInfo).port}`,
    declares: { selfId: "plain", selfVersion: "1.0.0", provides: [{ type: "plain", version: "1.0.0", path: "/" }] },
  });
  seen.length = 0;
  expect((await get(url, "/")).status).toBe(200);
  expect(seen.slice(-2)).toEqual([true, "https"]);
});

test("HTTP/1.1 without TLS gets 400 that says what to do, and HTTP/2 is ended", async () => {
  const { port } = await startTls();
  const answer = await exchangeBytes(net.connect(port, "127.0.0.1"), "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\nconnection: close\r\n/);
  expect(answer).toMatch(/\r\n\r\nthis port speaks TLS only: use https:\/\/\n$/);
  const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  expect(await exchangeBytes(net.connect(port, "127.0.0.1"), preface)).toBe("");
});

test("with allowCleartext the port serves both sorts of callers", async () => {
  const { url, port } = await startTls({ allowCleartext: true });
  const plain = `http://127.0.0.1:${port}`;
  expect(await (await fetch(`${plain}/readyz`)).text()).toBe("ok\n");
  const session = http2.connect(plain);
  onTestFinished(() => session.destroy());
  const [head] = await once(session.request({ ":path": "/readyz" }).resume(), "response");
  expect(head[":status"]).toBe(200);
  expect((await get(url, "/readyz")).text).toBe("ok\n");
});

test("a port without a certificate takes the first byte of TLS for bad HTTP", async () => {
  const platform = new Platform();
  onTestFinished(() => platform.stop());
  await platform.listen();
  const answer = await exchangeBytes(
    net.connect(Number(new URL(platform.url ?? "").port), "127.0.0.1"),
    "\x16\x03\x01",
  );
  expect(answer).toMatch(/^HTTP\/1\.1 400 /);
});

test.each([
  { what: "garbage", bytes: "\x16GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" },
  { what: "a record without a handshake", bytes: "\x16\x03\x01\x00\x05hello" },
  { what: "one byte and nothing more, by who hangs up", bytes: "\x16", hangsUp: true },
])("$what after the first byte of TLS ends that connection only", async ({ bytes, hangsUp = false }) => {
  const { url, port, warnings } = await startTls();
  const socket = net.connect(port, "127.0.0.1");
  socket.on("error", () => {});
  const closed = once(socket.resume(), "close");
  socket.write(bytes, "latin1");
  if (hangsUp) socket.end();
  await within(5_000, "the end of the connection", closed);
  expect((await get(url, "/readyz")).status).toBe(200);
  expect(warnings).toEqual([]);
});

test("a caller who says h2 by ALPN and sends HTTP/1.1 is cut off", async () => {
  const { port } = await startTls();
  const socket = await handshake(port, { ALPNProtocols: ["h2"] });
  expect(await exchangeBytes(socket, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")).toBe("");
});

test("a handshake that goes on for ever is ended in time, however many bytes come", async () => {
  const { port } = await startTls({ handshakeTimeoutMs: 200 });
  const socket = net.connect(port, "127.0.0.1");
  socket.on("error", () => {});
  // A record that announces 16,384 bytes, which come one by one.
  socket.write(Buffer.from([0x16, 0x03, 0x01, 0x40, 0x00]));
  const timer = setInterval(() => socket.writable && socket.write("\x01"), 20);
  onTestFinished(() => clearInterval(timer));
  await within(5_000, "the end of the connection", once(socket.resume(), "close"));
});

test("a handshake that was done in time is not cut off later", async () => {
  const clock = manualClock();
  const { port } = await startTls({ handshakeTimeoutMs: 150 }, { clock });
  const socket = await handshake(port, { ALPNProtocols: ["http/1.1"] });
  // The host is done with the handshake when it has answered.
  for (const connection of ["keep-alive", "close"]) {
    const answered = once(socket, "data");
    socket.write(`GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: ${connection}\r\n\r\n`);
    expect(String((await answered)[0])).toMatch(/^HTTP\/1\.1 200 /);
    clock.advance(200);
  }
});

test("a new certificate is for new connections; a stream that is open goes on", async () => {
  const { platform, url, port } = await startTls({}, { ingress: [{ prefix: "/", type: "echo", access: "open" }] });
  await platform.addPlugin(await echoEndpoint());
  const client = createClient(Echo, createGrpcTransport({ baseUrl: url, nodeOptions: { ca } }));
  const texts = new LatestText();
  const stream = client.bidiStream(texts.read())[Symbol.asyncIterator]();
  const kept = await handshake(port, { ALPNProtocols: ["http/1.1"] });
  texts.send("before");
  expect((await stream.next()).value?.text).toBe("before");
  const next = authority.issue();
  platform.setCertificate(next);
  expect((await handshake(port)).getPeerX509Certificate()?.serialNumber).toBe(next.serialNumber);
  texts.send("after");
  expect((await stream.next()).value?.text).toBe("after");
  texts.end();
  expect((await stream.next()).done).toBe(true);
  expect(kept.getPeerX509Certificate()?.serialNumber).toBe(certificate.serialNumber);
  expect(await exchangeBytes(kept, "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).toMatch(
    /\r\nok\n/,
  );
});

test.each([
  { what: "no PEM", given: { cert: "/etc/host.pem" }, field: "certificate.cert" },
  { what: "a broken certificate", given: { cert: broken(certificate.cert) }, field: "certificate.cert" },
  { what: "a key instead", given: { cert: certificate.key }, field: "certificate.cert" },
  { what: "somebody else's key", given: { key: authority.issue().key }, field: "certificate.key" },
  { what: "a broken key", given: { key: broken(certificate.key) }, field: "certificate.key" },
  { what: "no key", given: { key: undefined as never }, field: "certificate.key" },
])("a new certificate with $what is refused, and the old one stays", async ({ given, field }) => {
  const { platform, port } = await startTls();
  const change = () =>
    platform.setCertificate({ ...authority.issue(), key: certificate.key, cert: certificate.cert, ...given });
  expect(change).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT", field }));
  expect((await handshake(port)).getPeerX509Certificate()?.serialNumber).toBe(certificate.serialNumber);
});

test.each<{ given: Record<string, unknown>; field: string }>([
  { given: { cert: "" }, field: "tls.cert" },
  { given: { key: 5 }, field: "tls.key" },
  { given: { passphrase: 5 }, field: "tls.passphrase" },
  { given: { minVersion: "SSLv3" }, field: "tls.minVersion" },
  { given: { allowCleartext: "false" }, field: "tls.allowCleartext" },
  { given: { handshakeTimeoutMs: 0 }, field: "tls.handshakeTimeoutMs" },
  { given: { clientCa: [] }, field: "tls.clientCa" },
  { given: { clientCa: [ca, "x"] }, field: "tls.clientCa[1]" },
  { given: { clientCertificates: "optional" }, field: "tls.clientCertificates" },
  { given: { clientCa: ca, clientCertificates: "never" }, field: "tls.clientCertificates" },
  { given: { ca: "x" }, field: "tls.ca" },
  { given: { certificate: "" }, field: "tls.certificate" },
])("tls with $given is refused with the name $field", async ({ given, field }) => {
  const platform = new Platform();
  onTestFinished(() => platform.stop());
  const listening = platform.listen({ port: 0, tls: { ...pair(), ...given } as never });
  await expect(listening).rejects.toMatchObject({ code: "INVALID_ARGUMENT", field });
  await platform.listen({ port: 0, tls: pair() });
});

test("a Unix socket speaks no TLS, and without TLS there is no certificate to change", async () => {
  const platform = new Platform();
  onTestFinished(() => platform.stop());
  await expect(platform.listen({ path: "/tmp/never.sock", tls: pair() })).rejects.toMatchObject({ field: "tls" });
  await platform.listen();
  expect(() => platform.setCertificate(certificate)).toThrow(expect.objectContaining({ code: "TLS_OFF" }));
});

test("callers have to show a certificate of clientCa, or may do without one if that is said", async () => {
  const clients = createAuthority("Clients");
  const mine = clients.issue({ names: ["somebody"] });
  const required = await startTls({ clientCa: clients.ca });
  expect((await get(required.url, "/readyz", mine)).status).toBe(200);
  await expect(get(required.url, "/readyz")).rejects.toThrow();
  await expect(get(required.url, "/readyz", authority.issue())).rejects.toThrow();
  const optional = await startTls({ clientCa: clients.ca, clientCertificates: "optional" });
  expect((await get(optional.url, "/readyz")).status).toBe(200);
  expect((await get(optional.url, "/readyz", mine)).status).toBe(200);
});

test("minVersion ends the handshake of older callers", async () => {
  const { port } = await startTls({ minVersion: "TLSv1.3" });
  await expect(handshake(port, { maxVersion: "TLSv1.2" })).rejects.toThrow();
  expect((await handshake(port)).getProtocol()).toBe("TLSv1.3");
});

test.each([
  { what: "another name", request: { names: ["plugins.example.org"] }, says: /not for 127\.0\.0\.1.*set publicUrl/ },
  { what: "another time", request: { notAfter: Date.now() - 60_000 }, says: /was good until/ },
])("a certificate for $what comes as a warning", async ({ request, says }) => {
  const { cert, key } = authority.issue(request);
  const { warnings, platform } = await startTls({ cert, key });
  expect(warnings).toEqual([expect.stringMatching(says)]);
  platform.setCertificate(certificate);
  expect(warnings).toHaveLength(1);
});

test("stopping the host ends connections in every stage", async () => {
  const { platform, port } = await startTls();
  const silent = net.connect(port, "127.0.0.1");
  const halfWay = net.connect(port, "127.0.0.1");
  for (const socket of [silent, halfWay]) socket.on("error", () => {}).resume();
  await once(silent, "connect");
  halfWay.write("\x16\x03\x01");
  const done = await handshake(port);
  const closed = [silent, halfWay, done.resume()].map((socket) => once(socket, "close"));
  await within(5_000, "stopping", platform.stop());
  await within(5_000, "the end of all connections", Promise.all(closed));
});

async function echoEndpoint() {
  const served = await startEndpoint();
  onTestFinished(() => served.stop());
  return { endpoint: served.url };
}

/** Texts for a stream of requests, as they come. */
class LatestText {
  readonly #waiting: (string | undefined)[] = [];
  #wake: () => void = () => {};

  send(text: string): void {
    this.#waiting.push(text);
    this.#wake();
  }

  end(): void {
    this.#waiting.push(undefined);
    this.#wake();
  }

  async *read(): AsyncGenerator<{ text: string }> {
    for (;;) {
      while (this.#waiting.length === 0) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      const text = this.#waiting.shift();
      if (text === undefined) return;
      yield { text };
    }
  }
}

function pair() {
  return { cert: certificate.cert, key: certificate.key };
}

/** The same with other bytes in the middle. */
function broken(pem: string): string {
  const lines = pem.split("\n");
  lines[2] = "A".repeat(64);
  return lines.join("\n");
}
