import { EventEmitter, once } from "node:events";
import http2 from "node:http2";
import https from "node:https";
import net, { type AddressInfo, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { expect, onTestFinished, test } from "vitest";
import { Platform } from "../../src/index.js";
import { createAuthority } from "../support/certificates.js";
import { within } from "../support/http-server.js";

const servers = createAuthority("Servers");
const clients = createAuthority("Clients");

/** The name in the certificate that a connection was made with, and which connection it is. */
interface Seen {
  readonly name: string;
  readonly socket: Socket;
}

/**
 * A service over TLS that answers with the name in the certificate of who calls. `/long` goes on until `finish`, and names
 * it again then.
 */
async function startProvider(version: "1.1" | "2") {
  const seen: Seen[] = [];
  const control = new EventEmitter();
  const tls = { ...servers.issue(), requestCert: true, ca: clients.ca };
  const answer = (
    { socket, url }: { readonly socket: Socket; readonly url?: string | undefined },
    res: { write(text: string): unknown; end(text: string): unknown },
  ): void => {
    const name = String((socket as TLSSocket).getPeerCertificate().subject.CN);
    // The host's own questions come over connections of their own.
    if (url !== "/long" && url !== "/short") {
      res.end("");
      return;
    }
    seen.push({ name, socket });
    if (url !== "/long") {
      res.end(name);
      return;
    }
    res.write(name);
    control.once("finish", () => res.end(`, still ${name}`));
  };
  const sockets = new Set<Socket>();
  const server =
    version === "1.1"
      ? https.createServer({ ...tls, keepAliveTimeout: 0 }, answer)
      : http2.createSecureServer(tls).on("stream", (stream, headers) => {
          stream.respond();
          // The session's own socket is a stand-in that refuses most of what sockets do.
          const socket = [...sockets].find((one) => one.remotePort === stream.session?.socket.remotePort) as Socket;
          answer({ socket, url: headers[":path"] }, stream);
        });
  server.on("secureConnection", (socket: TLSSocket) => sockets.add(socket.on("error", () => {})));
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { port, seen, finish: () => control.emit("finish") };
}

const certificateOf = (name: string) => {
  const { cert, key } = clients.issue({ names: [name] });
  return { ca: servers.ca, cert, key };
};

async function startPlatform() {
  const platform = new Platform({
    router: { tls: certificateOf("old"), idleSocketMs: 60_000, idleSessionMs: 60_000 },
    limits: { connectGraceMs: 0 },
    ingress: ["a", "b"].map((type) => ({ prefix: `/${type}`, type, access: "open" as const })),
  });
  onTestFinished(() => platform.stop());
  await platform.listen();
  const add = (type: string, port: number, tls?: ReturnType<typeof certificateOf>) =>
    platform.addPlugin({
      endpoint: `https://127.0.0.1:${port}`,
      ...(tls && { tls }),
      declares: { selfId: type, provides: [{ type, version: "1.0.0" }], metadata: { health_path: "/" } },
    });
  const call = (path: string) => within(5_000, path, fetch(`${platform.url}${path}`));
  const ask = async (path: string) => (await call(path)).text();
  /** Begins a call that goes on; the answer's first piece is there. */
  const begin = async (path: string) => {
    const reader = ((await call(path)).body as ReadableStream<Uint8Array>)
      .pipeThrough(new TextDecoderStream())
      .getReader();
    const first = await within(5_000, "the first piece", reader.read());
    const rest = async () => {
      let text = "";
      for (let next = await reader.read(); !next.done; next = await reader.read()) text += next.value;
      return text;
    };
    return { first: first.value, rest: () => within(5_000, "the rest", rest()) };
  };
  return { platform, add, ask, begin };
}

const closed = async ({ socket }: Seen, what: string) => {
  if (!socket.destroyed) await within(5_000, `the end of ${what}`, once(socket, "close"));
};

for (const of of ["all plugins", "one plugin"]) {
  test(`over HTTP/2 new calls bring the new certificate of ${of} at once, and a call that goes on keeps the old one`, async () => {
    const provider = await startProvider("2");
    const { platform, add, ask, begin } = await startPlatform();
    const own = of === "one plugin";
    const { runtimeId } = await add("a", provider.port, own ? certificateOf("old") : undefined);
    const long = await begin("/a/long");
    expect([long.first, await ask("/a/short")]).toEqual(["old", "old"]);
    platform.setUpstreamTls(certificateOf("new"), own ? runtimeId : undefined);
    expect([await ask("/a/short"), await ask("/a/short")]).toEqual(["new", "new"]);
    provider.finish();
    expect(await long.rest()).toBe(", still old");
    // Nothing is left to keep it for.
    await closed(provider.seen[0] as Seen, "the old session");
    expect(await ask("/a/short")).toBe("new");
    expect(new Set(provider.seen.map(({ socket }) => socket)).size).toBe(2);
  });

  test(`over HTTP/1.1 idle connections with the old certificate of ${of} are closed, and a busy one is not used again`, async () => {
    const provider = await startProvider("1.1");
    const { platform, add, ask, begin } = await startPlatform();
    const own = of === "one plugin";
    const { runtimeId } = await add("a", provider.port, own ? certificateOf("old") : undefined);
    const long = await begin("/a/long");
    expect([long.first, await ask("/a/short")]).toEqual(["old", "old"]);
    const [busy, idle] = provider.seen as [Seen, Seen];
    expect(busy.socket).not.toBe(idle.socket);
    platform.setUpstreamTls(certificateOf("new"), own ? runtimeId : undefined);
    expect(await ask("/a/short")).toBe("new");
    await closed(idle, "the idle connection");
    expect(busy.socket.destroyed).toBe(false);
    provider.finish();
    expect(await long.rest()).toBe(", still old");
    await closed(busy, "the connection that was busy");
    expect(await ask("/a/short")).toBe("new");
    expect(new Set(provider.seen.map(({ socket }) => socket)).size).toBe(3);
  });
}

for (const version of ["1.1", "2"] as const) {
  test(`idle connections over HTTP/${version} are closed at once, also those of a provider that nobody calls any more`, async () => {
    const provider = await startProvider(version);
    const { platform, add, ask } = await startPlatform();
    await add("a", provider.port);
    expect(await ask("/a/short")).toBe("old");
    platform.setUpstreamTls(certificateOf("new"));
    await closed(provider.seen[0] as Seen, "the idle connection");
  });

  test(`a call over HTTP/${version} that ends after the change leaves no connection behind`, async () => {
    const provider = await startProvider(version);
    const { platform, add, begin } = await startPlatform();
    await add("a", provider.port);
    const long = await begin("/a/long");
    platform.setUpstreamTls(certificateOf("new"));
    provider.finish();
    expect(await long.rest()).toBe(", still old");
    await closed(provider.seen[0] as Seen, "the connection");
  });
}

test("a call that waits for a connection with the old certificate gets one with the new", async () => {
  const provider = await startProvider("2");
  // Connections get nowhere until it is open, nor do those later that came before.
  const control = new EventEmitter();
  let isOpen = true;
  const gate = net.createServer((socket) => {
    socket.on("error", () => {});
    if (!isOpen) {
      control.emit("held");
      return;
    }
    const onward = net.connect(provider.port, "127.0.0.1").on("error", () => {});
    socket.pipe(onward).pipe(socket);
    socket.on("close", () => onward.destroy());
  });
  await new Promise<void>((resolve) => gate.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void gate.close());
  const { platform, add, ask } = await startPlatform();
  await add("a", (gate.address() as AddressInfo).port);
  isOpen = false;
  const held = once(control, "held");
  const waiting = ask("/a/short");
  await within(5_000, "the first connection", held);
  isOpen = true;
  platform.setUpstreamTls(certificateOf("new"));
  const next = ask("/a/short");
  expect(await Promise.all([waiting, next])).toEqual(["new", "new"]);
});
