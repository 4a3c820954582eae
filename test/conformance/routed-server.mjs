// A server for the conformance runner: a host with the reference server, a plugin without an SDK. The argument says how calls
// come in and go on: see the modes of run.mjs.
import { Platform } from "../../dist/index.js";
import { changed, readRequest, startReferenceServer, stopOnSignal, writeResponse } from "./lib/frames.mjs";
import { anyRequest, openMounted } from "./lib/mounted.mjs";
import { openUnixRelay } from "./lib/unix-relay.mjs";

const way = process.argv[2] ?? "port";
const http2 = 2; // HTTP_VERSION_2
const { request } = await readRequest();
const isHttp2 = request.httpVersion === http2;
const providerTls = way === "tls";
const { clientTlsCert, serverCreds } = request;

// Callers' certificates are for the host, and so is TLS itself but for one mode.
const noClients = { clientTlsCert: new Uint8Array() };
const reference = await startReferenceServer(
  changed(request, providerTls ? noClients : { ...noClients, useTls: false, serverCreds: undefined }),
);
const stops = [() => reference.stop()];

const platform = new Platform({
  ingress: [{ prefix: "/", type: "conformance", access: "open" }],
  ...(providerTls && { router: { tls: { ca: serverCreds.cert } } }),
});
stops.push(() => platform.stop());
stopOnSignal(async () => {
  for (const stop of stops.reverse()) await stop();
});

const tls = request.useTls && {
  cert: serverCreds.cert,
  key: serverCreds.key,
  ...(clientTlsCert.length > 0 && { clientCa: clientTlsCert }),
};
await platform.listen({ host: "127.0.0.1", port: 0, ...(tls && { tls }) });
let endpoint = `${providerTls ? "https" : "http"}://127.0.0.1:${reference.port}`;
if (way === "unix") {
  const relay = await openUnixRelay(reference.port);
  stops.push(relay.close);
  endpoint = relay.url;
}
await platform.addPlugin({
  endpoint,
  declares: {
    selfId: "reference-server",
    selfVersion: "1.0.0",
    provides: [{ type: "conformance", version: "1.0.0", path: "/" }],
    // The reference server answers one version of HTTP only, the one that the runner asked for. Over TLS it says so by ALPN.
    metadata: providerTls ? {} : { protocols: isHttp2 ? "h2c" : "h1" },
  },
});
let port = Number(new URL(platform.url).port);
if (way === "any" || way === "mounted") {
  const mounted = await openMounted({
    isHttp2,
    handler: platform.handler,
    tls: tls && {
      cert: tls.cert,
      key: tls.key,
      ...(tls.clientCa && { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true }),
    },
    change: way === "any" ? await anyRequest(platform.url) : undefined,
  });
  stops.push(mounted.close);
  port = mounted.port;
}
writeResponse({ port, ...(request.useTls && { pemCert: serverCreds.cert }) });
