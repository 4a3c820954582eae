// A plugin in Node's own modules that keeps every clause of docs/reference/wire.md, but for the fault that its first
// argument names. With HOST_URL it registers itself.
import { spawn } from "node:child_process";
import http from "node:http";
import http2 from "node:http2";
import { gunzipSync } from "node:zlib";

const [fault = "none"] = process.argv.slice(2);
const has = (name) => fault === name;
const { PORT, HOST_URL, HOSTNAME } = process.env;
const servicePath = "/greet.v1.Greeter/";
const version = has("version with a v") ? "v1.0.0" : "1.0.0";
let asked = 0;
let acknowledged = 0;
let stopped = false;

const info = () => ({
  selfId: has("no self id") ? "" : has("self id with a slash") ? "greeter/1" : "greeter",
  selfVersion: "1.0.0",
  provides: [{ type: has("another type each time") ? `greeter${asked++}` : "greeter", version, path: servicePath }],
  ...(has("requires a service") && { requires: [{ type: "cache", minVersion: "^2.1", requiredForStartup: true }] }),
});

const strings = (...fields) =>
  Buffer.concat(
    fields.map(([number, value]) => {
      const bytes = Buffer.isBuffer(value) ? value : Buffer.from(value);
      return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
    }),
  );
const infoInBinary = () => {
  const { selfId, selfVersion, provides, requires = [] } = info();
  const [{ type, version, path }] = provides;
  const named = has("another name in binary") ? "greeter-2" : selfId;
  const needs = requires.map((need) => {
    const required = need.requiredForStartup ? Buffer.from([3 << 3, 1]) : Buffer.alloc(0);
    return [4, Buffer.concat([strings([1, need.type], [2, need.minVersion]), required])];
  });
  return strings([1, named], [2, selfVersion], [3, strings([1, type], [2, version], [3, path])], ...needs);
};

const stop = () => {
  if (stopped) return;
  stopped = true;
  if (has("HTTP/2 only")) process.exit();
  server.close();
  server.closeIdleConnections();
};

const procedures = {
  "/connectplugin.v1.PluginIdentity/GetPluginInfo": info,
  "/connectplugin.v1.PluginIdentity/SetRuntimeIdentity": ({ runtimeToken }) => {
    if (has("prints its token")) console.log("my token is", runtimeToken);
    acknowledged += 1;
    return has("no acknowledgement") || (has("one identity only") && acknowledged > 1) ? {} : { acknowledged: true };
  },
  "/connectplugin.v1.PluginControl/GetHealth": () => ({
    state: has("unknown health") ? "FINE" : `HEALTH_STATE_${has("unhealthy") ? "UNHEALTHY" : "HEALTHY"}`,
  }),
  "/connectplugin.v1.PluginControl/Shutdown": () => {
    if (!has("ignores Shutdown")) setImmediate(stop);
    return has("Shutdown not acknowledged") ? {} : { acknowledged: true };
  },
  [`${servicePath}Greet`]: ({ name = "" }) => ({ text: `hello ${name}` }),
};

const send = (res, status, type, body, headers = {}) => {
  const bytes = Buffer.from(body);
  const length = has("wrong Content-Length") ? bytes.length + 1 : bytes.length;
  res.writeHead(status, { "content-type": type, "content-length": length, ...headers }).end(bytes);
};
const refuse = (res, status, error, message) =>
  has("errors in plain text")
    ? send(res, status, "text/plain", message)
    : send(res, status, "application/json", JSON.stringify({ code: error, message }));

const known = [
  "selfId",
  "name",
  "runtimeId",
  "runtimeToken",
  "hostUrl",
  "hostFeatures",
  "gracePeriodSeconds",
  "reason",
];

function answer(req, res, raw) {
  const isForwarded = req.headers["x-plugin-caller-id"] !== undefined;
  if (has("fails at its service's path") && isForwarded && req.url.startsWith(servicePath))
    return refuse(res, 500, "internal", "who are you?");
  if (has("fails for what it does not have") && req.url.startsWith(servicePath) && !req.url.endsWith("/Greet")) {
    return refuse(res, 500, "unknown", "no such thing");
  }
  const method = procedures[req.url];
  if (method === undefined) {
    if (has("answers every path")) return send(res, 200, "application/json", "{}");
    return refuse(res, 404, "unimplemented", `${req.url} is not served here`);
  }
  const isTyped = req.headers["content-type"] !== undefined;
  const isRun =
    req.method === "POST" ||
    has("runs procedures by GET") ||
    (has("runs procedures by a typed GET") && isTyped && req.method === "GET") ||
    (has("runs procedures by PUT") && req.method === "PUT");
  if (!isRun) return refuse(res, 405, "unimplemented", "use POST");
  if (has("fails for every caller") && isForwarded) return refuse(res, 500, "internal", "who are you?");
  const given = has("content types with case") ? req.rawHeaders[req.rawHeaders.indexOf("content-type") + 1] : undefined;
  const type = (given ?? req.headers["content-type"] ?? "").split(";")[0].trim();
  if (has("content types with case") && !req.rawHeaders.includes("content-type")) {
    return refuse(res, 415, "invalid_argument", "no content type");
  }
  const isBinary = type === "application/proto";
  const isJson = type === "application/json" || req.method === "GET" || has("any content type");
  if (has("JSON only") && isBinary) return refuse(res, 415, "invalid_argument", "JSON only");
  if (!isBinary && !isJson) return refuse(res, 415, "invalid_argument", `${type} is not spoken here`);
  let body = raw;
  if (req.headers["content-encoding"] === "gzip") {
    if (has("gzip taken for text")) return refuse(res, 500, "internal", "what is that");
    body = has("gzip taken for an empty message") ? Buffer.alloc(0) : gunzipSync(raw);
  }
  if (isBinary) {
    if (raw.length === 0 && has("no empty messages")) return refuse(res, 400, "invalid_argument", "an empty body");
    const isInfo = req.url.endsWith("/GetPluginInfo");
    return send(res, 200, has("JSON's type for binary") ? "application/json" : type, isInfo ? infoInBinary() : "");
  }
  let message;
  try {
    message = JSON.parse(body.length === 0 ? "{}" : body.toString());
  } catch {
    if (has("dies of bad JSON")) process.exit(7);
    if (has("answers bad JSON")) return send(res, 200, "application/json", "{}");
    return refuse(res, has("500 for bad JSON") ? 500 : 400, "invalid_argument", "the body is no JSON");
  }
  if (has("no unknown fields") && Object.keys(message).some((name) => !known.includes(name))) {
    return refuse(res, 400, "invalid_argument", "unknown field");
  }
  const headers = has("gzip without being asked") ? { "content-encoding": "gzip" } : {};
  send(res, 200, has("text/plain") ? "text/plain" : "application/json", JSON.stringify(method(message)), headers);
}

const { createServer } = has("HTTP/2 only") ? http2 : http;
const server = createServer({ keepAliveTimeout: 5_000 }, (req, res) => {
  const isInChunks = req.headers["transfer-encoding"] !== undefined;
  if (has("chunks are not read") && isInChunks) return refuse(res, 411, "invalid_argument", "send a length");
  const isUnread = has("chunks taken for an empty message") && isInChunks;
  const chunks = [];
  req.on("error", () => {}).on("data", (chunk) => chunks.push(chunk));
  req.on("end", () => answer(req, res, isUnread ? Buffer.alloc(0) : Buffer.concat(chunks)));
  if (has("takes the end of chunks for a request") && isInChunks) {
    res.on("finish", () => req.socket.end("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"));
  }
  if (has("closes connections without a word")) res.on("finish", () => req.socket.destroy());
  if (has("closes connections without a word")) res.shouldKeepAlive = true;
});
server.on("clientError", (_error, socket) => {
  if (has("dies of garbage")) process.exit(8);
  socket.destroy();
});

async function call(path, message, headers = {}) {
  const base = has("drops the path of HOST_URL") ? new URL(HOST_URL).origin : HOST_URL;
  const answer = await fetch(`${base}/connectplugin.v1.${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(message),
  });
  if (!answer.ok && !has("does not mind refusals")) throw new Error(`${path}: ${await answer.text()}`);
  return answer.json();
}

async function callOverHttp2(path, message) {
  const { origin, pathname } = new URL(HOST_URL);
  const session = http2.connect(origin);
  const headers = {
    ":method": "POST",
    ":path": `${pathname}/connectplugin.v1.${path}`,
    "content-type": "application/json",
  };
  const stream = session.request(headers).end(JSON.stringify(message));
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  session.close();
  return JSON.parse(Buffer.concat(chunks).toString());
}

async function register() {
  const greet = has("prints its token of HTTP/2") ? callOverHttp2 : call;
  const hello = await greet("HandshakeService/Handshake", {
    coreProtocolVersion: 1,
    appProtocolVersion: 1,
    magicCookieKey: "CONNECT_PLUGIN",
    magicCookieValue: has("another cookie") ? "0000" : "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e",
    selfId: "greeter",
    selfVersion: "1.0.0",
  });
  if (greet === callOverHttp2) console.log(hello.runtimeToken);
  if (has("prints its first token at its end")) process.on("exit", () => console.log(hello.runtimeToken));
  const proof = { "x-plugin-runtime-id": hello.runtimeId ?? "", authorization: `Bearer ${hello.runtimeToken}` };
  const headers = has("no credentials") ? {} : proof;
  const port = has("base_url of another port") ? Number(PORT) - 1 : PORT;
  const metadata = has("no base_url") ? {} : { base_url: `http://127.0.0.1:${port}` };
  const service = { serviceType: "greeter", version, endpointPath: servicePath, metadata };
  const others = has("registers more than it declares") ? [{ ...service, serviceType: "admin" }] : [];
  const bad = has("a path with a query") ? [{ ...service, endpointPath: "/a?b" }] : [];
  const own = has("registers less than it declares") ? [] : [service];
  for (const one of [...own, ...others, ...bad]) await call("ServiceRegistry/RegisterService", one, headers);
  const state = has("an unknown report") ? 9 : `HEALTH_STATE_${has("unhealthy") ? "UNHEALTHY" : "HEALTHY"}`;
  await call("PluginLifecycle/ReportHealth", { state }, headers);
}

process.on("SIGTERM", () => {
  if (!has("ignores SIGTERM")) stop();
});
if (has("leaves a child")) spawn("sleep", ["60"], { stdio: "ignore" }).unref();
const isManagedOnly = has("managed only") || has("managed, and needs HOST_URL");
if ((has("needs its host") || has("managed, and needs HOST_URL")) && !HOST_URL) process.exit(1);
const at = has("listens everywhere") ? "0.0.0.0" : HOSTNAME;
if (has("does not listen")) setInterval(() => {}, 1_000);
else {
  server.listen(has("listens elsewhere") ? 0 : Number(PORT), at, () => {
    if (has("listens, and ends without its host") && !HOST_URL) setTimeout(() => process.exit(1), 50);
    if (HOST_URL && !isManagedOnly) {
      register().catch((error) => {
        console.error(error.message);
        process.exit(1);
      });
    }
  });
}
