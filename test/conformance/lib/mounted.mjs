import http from "node:http";
import http2 from "node:http2";
import https from "node:https";

/**
 * A server of node:http or node:http2 with a host's handler in it, over TLS if `tls` has a certificate. `change` may alter each
 * request before.
 */
export async function openMounted({ isHttp2, handler, tls, change = () => {} }) {
  const serve = (req, res) => {
    change(req);
    handler(req, res);
  };
  const server = tls
    ? isHttp2
      ? http2.createSecureServer(tls, serve)
      : https.createServer({ ...tls, requestTimeout: 0 }, serve)
    : isHttp2
      ? http2.createServer(serve)
      : http.createServer({ requestTimeout: 0 }, serve);
  const connections = new Set();
  server.on("connection", (socket) => {
    connections.add(socket);
    socket.once("close", () => connections.delete(socket));
  });
  await new Promise((resolve, reject) => {
    server.once("error", reject).listen(0, "127.0.0.1", resolve);
  });
  return {
    port: server.address().port,
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        for (const socket of connections) socket.destroy();
      }),
  };
}

/** Turns a request into one of a plugin to `/services/conformance/any/`. Shakes hands with the host for its identity. */
export async function anyRequest(hostUrl) {
  const answer = await fetch(`${hostUrl}/connectplugin.v1.HandshakeService/Handshake`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      coreProtocolVersion: 1,
      appProtocolVersion: 1,
      magicCookieKey: "CONNECT_PLUGIN",
      magicCookieValue: "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e",
      selfId: "caller",
      selfVersion: "1.0.0",
    }),
  });
  if (!answer.ok) throw new Error(`the handshake failed: ${await answer.text()}`);
  const { runtimeId, runtimeToken } = await answer.json();
  const credentials = ["x-plugin-runtime-id", runtimeId, "authorization", `Bearer ${runtimeToken}`];
  return (req) => {
    const path = `/services/conformance/any${req.url}`;
    if (req.httpVersionMajor === 2) {
      req.headers[":path"] = path;
      req.rawHeaders[req.rawHeaders.indexOf(":path") + 1] = path;
    } else req.url = path;
    req.rawHeaders.push(...credentials);
  };
}
