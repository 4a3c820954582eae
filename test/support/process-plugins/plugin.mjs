// A plugin in nothing but Node's standard library. What it does beside serving is chosen by its arguments.
import { spawn } from "node:child_process";
import { readdirSync, readlinkSync } from "node:fs";
import { createServer } from "node:http";

const { PORT, HOSTNAME, HOST_URL, SELF_ID = "probe", PROVIDES = "probe" } = process.env;
const flags = new Set(process.argv.slice(2));
const version = "1.0.0";

if (flags.has("--flood")) process.stdout.write(`${"x".repeat(2 ** 20)}`);
if (flags.has("--ignore-term")) process.on("SIGTERM", () => console.log("SIGTERM ignored"));
if (flags.has("--grandchild")) {
  const stubborn = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('grandchild ready');";
  const child = spawn(process.execPath, ["-e", stubborn], { stdio: ["ignore", "pipe", "ignore"] });
  await new Promise((resolve) => child.stdout.once("data", resolve));
}
if (flags.has("--exit")) {
  console.log("a line on stdout");
  console.error("cannot open the database");
  process.exit(3);
}
if (flags.has("--hang")) {
  console.log("waiting for something that never comes");
  setInterval(() => {}, 1000);
  await new Promise(() => {});
}

const host = async (procedure, message, headers = {}) => {
  const answer = await fetch(`${HOST_URL}/connectplugin.v1.${procedure}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(message),
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(`${procedure}: ${answer.status} ${body.code}: ${body.message}`);
  return body;
};

const handshakes = [];
const tokens = [];
const shakeHands = async () => {
  const answer = await host("HandshakeService/Handshake", {
    coreProtocolVersion: 1,
    appProtocolVersion: flags.has("--other-version") ? 7 : 1,
    magicCookieKey: "CONNECT_PLUGIN",
    magicCookieValue: "d3f40b3c2e1a5f8b9c4d7e6a1b2c3d4e",
    selfId: SELF_ID,
    selfVersion: version,
  });
  handshakes.push(answer.runtimeId);
  tokens.push(answer.runtimeToken);
  return answer;
};

const identities = [];
const services = [{ type: PROVIDES, version, path: "/test.v1.Probe/" }];
const openDescriptors = () =>
  readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [`${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`];
    } catch {
      return [];
    }
  });

const procedures = {
  "/connectplugin.v1.PluginIdentity/SetRuntimeIdentity": (request) => {
    identities.push(request.runtimeId);
    tokens.push(request.runtimeToken);
    return { acknowledged: true };
  },
  "/connectplugin.v1.PluginControl/GetHealth": () => ({ state: "HEALTH_STATE_HEALTHY" }),
  "/test.v1.Probe/Look": async () => ({
    environment: process.env,
    descriptors: openDescriptors(),
    parent: process.ppid,
    cwd: process.cwd(),
    args: process.argv.slice(2),
    identities,
    handshakes,
    tokens,
  }),
  "/test.v1.Probe/ShakeHands": async () => (await shakeHands()) && { handshakes },
};
if (!flags.has("--no-identity")) {
  procedures["/connectplugin.v1.PluginIdentity/GetPluginInfo"] = () => ({
    selfId: SELF_ID,
    selfVersion: version,
    provides: services,
  });
}
if (flags.has("--hang-shutdown")) {
  procedures["/connectplugin.v1.PluginControl/Shutdown"] = () => {
    console.log("shutdown asked for");
    return new Promise(() => {});
  };
} else if (!flags.has("--ignore-shutdown")) {
  procedures["/connectplugin.v1.PluginControl/Shutdown"] = () => {
    console.log("shutdown asked for");
    setImmediate(() => server.close(() => process.exit(0)) && server.closeIdleConnections());
    return { acknowledged: true };
  };
}

const server = createServer((request, response) => {
  let body = "";
  request.setEncoding("utf8").on("data", (text) => {
    body += text;
  });
  request.on("end", async () => {
    const procedure = procedures[request.url];
    if (flags.has("--mute")) return;
    if (flags.has("--not-a-plugin") || procedure === undefined) {
      response.writeHead(404, { "content-type": "text/html" }).end("<h1>not here</h1>");
      return;
    }
    const answer = JSON.stringify(await procedure(body === "" ? {} : JSON.parse(body)));
    response.writeHead(200, { "content-type": "application/json", connection: "close" }).end(answer);
  });
});

try {
  if (flags.has("--register")) {
    const { runtimeId, runtimeToken } = await shakeHands();
    const token = flags.has("--bad-token") ? "not-the-token" : runtimeToken;
    const identity = { "x-plugin-runtime-id": runtimeId, authorization: `Bearer ${token}` };
    for (const { type, path } of services) {
      const request = { serviceType: type, version, endpointPath: path };
      await host("ServiceRegistry/RegisterService", request, identity);
    }
    await host("PluginLifecycle/ReportHealth", { state: "HEALTH_STATE_HEALTHY" }, identity);
  }
  server.listen(Number(PORT), HOSTNAME, () => console.log(`listening, told of ${HOST_URL}`));
  server.on("error", (error) => {
    console.error(error.message);
    if (!flags.has("--stay")) process.exit(1);
    setInterval(() => {}, 1000);
  });
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
